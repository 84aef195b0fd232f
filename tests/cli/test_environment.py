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
from tests.conftest import StubServer
from tests.support.commands import ROOT, environment
from tests.support.jobs import write_config

KEY = "test_5e3c7e81"
SAME_PLACE = "set both in .env, or both in the environment"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder. The environment has neither a URL nor a key."""
    work = tmp_path / "project" / "work"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    monkeypatch.setattr(cli_environment, "QUIET_PREFECT", {})
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    for name in ("SCALE_API_URL", "SCALE_API_KEY"):
        monkeypatch.setenv(name, "")  # so that the end of the test restores it
        monkeypatch.delenv(name)
    return work


def test_key_is_not_sent_to_the_url_of_a_dotenv_in_a_parent_folder(tmp_path: Path, stub_server: StubServer) -> None:
    work = tmp_path / "project"
    work.mkdir()
    (tmp_path / ".env").write_text(f"SCALE_API_URL={stub_server.url}/v1\n")
    (work / "manifest.jsonl").write_text('{"id": "a", "text": "b"}\n')
    write_config(work, scale={"url": "http://127.0.0.1:9/v1"})
    command = [sys.executable, "-m", "flows.label_dataset", "job.yaml", "--no-wait"]
    variables = environment(tmp_path / "home", SCALE_API_KEY=KEY, PYTHONPATH=str(ROOT))
    done = subprocess.run(command, cwd=work, env=variables, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "http://127.0.0.1:9" in done.stderr
    assert stub_server.requests == []


@pytest.mark.parametrize(
    ("file", "variables", "message"),
    [
        ("SCALE_API_URL=http://a/v1", {"SCALE_API_KEY": KEY}, "sets SCALE_API_URL"),
        ("SCALE_API_URL=http://a/v1", {}, "sets SCALE_API_URL"),
        ("SCALE_API_URL=http://a/v1\nSCALE_API_KEY=test_b", {"SCALE_API_KEY": KEY}, "sets SCALE_API_URL"),
        ("SCALE_API_KEY=test_b", {"SCALE_API_URL": "http://a/v1"}, "sets SCALE_API_KEY"),
        ("SCALE_API_URL=http://b/v1\nSCALE_API_KEY=test_b", {"SCALE_API_URL": "http://a/v1"}, "sets SCALE_API_KEY"),
    ],
)
def test_url_and_key_of_different_origin_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, file: str, variables: dict[str, str], message: str
) -> None:
    (folder / ".env").write_text(file)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidInput, match=f"^.env: {message}.*; {SAME_PLACE}$"):
        load_environment()


@pytest.mark.parametrize(
    ("file", "variables"),
    [
        (f"SCALE_API_URL=http://a/v1\nSCALE_API_KEY={KEY}", {}),
        (f"SCALE_API_URL=http://a/v1\nSCALE_API_KEY={KEY}", {"SCALE_API_KEY": KEY}),
        (f"SCALE_API_URL=http://a/v1\nSCALE_API_KEY={KEY}", {"SCALE_API_URL": "http://a/v1"}),
        (
            "SCALE_API_URL=http://b/v1\nSCALE_API_KEY=test_b",
            {"SCALE_API_URL": "http://a/v1", "SCALE_API_KEY": KEY},
        ),
    ],
)
def test_url_and_key_of_one_origin_are_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch, file: str, variables: dict[str, str]
) -> None:
    (folder / ".env").write_text(file)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    load_environment()
    assert (os.environ["SCALE_API_URL"], os.environ["SCALE_API_KEY"]) == ("http://a/v1", KEY)


def test_key_alone_is_loaded(folder: Path) -> None:
    (folder / ".env").write_text(f"SCALE_API_KEY={KEY}")
    load_environment()
    assert os.environ["SCALE_API_KEY"] == KEY
    assert "SCALE_API_URL" not in os.environ
