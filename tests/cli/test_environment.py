"""`.env` of the current folder: a key is never sent to a URL of another origin."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labelflow.cli import environment as cli_environment
from labelflow.cli.environment import load_environment
from labelflow.errors import InvalidInput
from labelflow.jobs.config import load_job
from labelflow.jobs.credentials import dotenv
from labelflow.jobs.credentials.keys import read_key
from tests.conftest import StubServer
from tests.support.commands import ROOT, environment
from tests.support.jobs import make_job, write_config
from tests.support.run_job import label
from tests.support.sandbox import running_in_process

KEY, OTHER_KEY = "test_5e3c7e81", "test_other"
URL, OTHER_URL = "http://a/v1", "http://b/v1"
FILE = f"SCALE_API_URL={URL}\nSCALE_API_KEY={KEY}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder. The environment has neither a URL nor a key."""
    work = tmp_path / "project" / "work"
    work.mkdir(parents=True)
    (work / "manifest.jsonl").write_text('{"id": "a", "text": "b"}\n')
    monkeypatch.chdir(work)
    monkeypatch.setattr(cli_environment, "QUIET_PREFECT", {})
    monkeypatch.setattr(dotenv, "_file", dotenv.DotenvFile())
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    for name in ("SCALE_API_URL", "SCALE_API_KEY", "TEAM_KEY"):
        monkeypatch.setenv(name, "")  # so that the end of the test restores it
        monkeypatch.delenv(name)
    return work


def connection(
    folder: Path, monkeypatch: pytest.MonkeyPatch, file: str, variables: dict[str, str], scale: dict[str, str]
) -> tuple[str, str]:
    """The URL and the key of a job, with this `.env`, these environment variables and this section of the config."""
    (folder / ".env").write_text(file)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    load_environment()
    job = load_job(str(write_config(folder, scale=scale)))
    return job.scale.url, read_key(job)


def test_key_is_not_sent_to_the_url_of_a_dotenv_in_a_parent_folder(tmp_path: Path, stub_server: StubServer) -> None:
    work = tmp_path / "project"
    work.mkdir()
    (tmp_path / ".env").write_text(f"SCALE_API_URL={stub_server.url}/v1\n")
    (work / "manifest.jsonl").write_text('{"id": "a", "text": "b"}\n')
    write_config(work, scale={"url": "http://127.0.0.1:9/v1"})
    done = run("label_dataset", "job.yaml", "--no-wait", folder=work, home=tmp_path, SCALE_API_KEY=KEY)
    assert done.returncode == 2
    assert "http://127.0.0.1:9" in done.stderr
    assert stub_server.requests == []


@pytest.mark.parametrize(
    ("file", "variables", "scale", "message"),
    [
        (f"SCALE_API_URL={URL}", {"SCALE_API_KEY": KEY}, {}, "sets SCALE_API_URL"),
        (f"SCALE_API_URL={URL}\nSCALE_API_KEY={OTHER_KEY}", {"SCALE_API_KEY": KEY}, {}, "sets SCALE_API_URL"),
        (FILE, {"TEAM_KEY": OTHER_KEY}, {"key": "env:TEAM_KEY"}, "sets SCALE_API_URL"),
        (f"SCALE_API_URL={URL}", {"TEAM_KEY": OTHER_KEY}, {"key": "env:TEAM_KEY"}, "sets SCALE_API_URL"),
        (FILE, {}, {"url": OTHER_URL}, "sets SCALE_API_KEY"),
        (FILE, {"SCALE_API_URL": OTHER_URL}, {}, "sets SCALE_API_KEY"),
        (f"{FILE}TEAM_KEY={OTHER_KEY}", {}, {"url": OTHER_URL, "key": "env:TEAM_KEY"}, "sets TEAM_KEY"),
        (f"SCALE_API_KEY={KEY}", {"SCALE_API_URL": URL}, {}, "sets SCALE_API_KEY"),
    ],
)
def test_url_and_key_of_different_origin_are_refused(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    file: str,
    variables: dict[str, str],
    scale: dict[str, str],
    message: str,
) -> None:
    with pytest.raises(InvalidInput, match=f"^.env: {message}, which would .* from elsewhere") as refused:
        connection(folder, monkeypatch, file, variables, scale)
    assert KEY not in str(refused.value)
    assert OTHER_KEY not in str(refused.value)


@pytest.mark.parametrize(
    ("file", "variables", "scale"),
    [
        (FILE, {}, {}),
        (FILE, {"SCALE_API_KEY": KEY}, {}),
        (FILE, {"SCALE_API_URL": URL}, {}),
        (FILE, {}, {"url": URL}),
        (FILE, {"SCALE_API_KEY": OTHER_KEY, "TEAM_KEY": KEY}, {"url": URL, "key": "env:TEAM_KEY"}),
        (f"SCALE_API_URL={URL}\nTEAM_KEY={KEY}", {"SCALE_API_KEY": OTHER_KEY}, {"key": "env:TEAM_KEY"}),
        (f"SCALE_API_URL={OTHER_URL}\nSCALE_API_KEY={OTHER_KEY}", {"SCALE_API_URL": URL, "SCALE_API_KEY": KEY}, {}),
        (f"SCALE_API_KEY={KEY}", {}, {"url": URL}),
        ("", {"SCALE_API_URL": URL, "SCALE_API_KEY": KEY}, {}),
    ],
)
def test_url_and_key_of_one_origin_are_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch, file: str, variables: dict[str, str], scale: dict[str, str]
) -> None:
    assert connection(folder, monkeypatch, file, variables, scale) == (URL, KEY)


def test_key_alone_goes_to_scale(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, key = connection(folder, monkeypatch, f"SCALE_API_KEY={KEY}", {}, {})
    assert (url, key) == ("https://api.scale.com/v1", KEY)
    assert "SCALE_API_URL" not in os.environ


def test_no_command_sends_the_key_of_a_dotenv_to_another_url(
    tmp_path: Path, stub_server: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", KEY)
    (tmp_path / "manifest.jsonl").write_text('{"id": "a", "text": "b"}\n')
    elsewhere = f"{stub_server.url}/v1"
    with running_in_process(turnaround=0) as url:
        label(make_job(tmp_path, output=str(tmp_path / "labels"), scale={"url": url}), wait=False)
    write_config(tmp_path, output=str(tmp_path / "labels"), scale={"url": elsewhere})
    stored = tmp_path / "labels" / "_ledger" / "config.json"
    stored.write_text(stored.read_text().replace(url, elsewhere))
    (tmp_path / ".env").write_text(f"SCALE_API_URL={url}\nSCALE_API_KEY={KEY}\n")
    for command in (
        ("label_dataset", "job.yaml", "--no-wait"),
        ("collect_responses", "job.yaml"),
        ("collect_responses", "labels"),
        ("cancel_dataset", "job.yaml", "--yes"),
        ("cancel_dataset", "labels", "--yes"),
    ):
        done = run(*command, folder=tmp_path, home=tmp_path, LABELFLOW_TRUSTED=elsewhere)
        assert done.returncode == 2, (command, done.stderr)
        assert ".env: sets SCALE_API_KEY, which would be sent to a URL from elsewhere" in done.stderr
        assert KEY not in done.stderr
    assert stub_server.requests == []


def run(command: str, *arguments: str, folder: Path, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", f"flows.{command}", *arguments]
    process_environment = environment(home / "home", PYTHONPATH=str(ROOT), **variables)
    if "SCALE_API_KEY" not in variables:
        del process_environment["SCALE_API_KEY"]
    return subprocess.run(argv, cwd=folder, env=process_environment, capture_output=True, text=True, timeout=60)
