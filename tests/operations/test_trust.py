"""A job that is opened from its output folder: what the folder's writers can change is not trusted."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from labelflow.errors import InvalidInput
from labelflow.jobs.job import Job
from labelflow.ledger import job_record
from labelflow.operations.discovery import find_single_job
from labelflow.storage.opening import open_folder
from tests.conftest import StubServer
from tests.support.commands import run_command, write_manifest
from tests.support.jobs import make_job, write_config
from tests.support.run_job import label
from tests.support.sandbox import running_in_process

KEY, AWS_SECRET = "live_5e3c7e91", "aws5e3c7e92"
COMMANDS = {name: [sys.executable, "-m", f"flows.{name}"] for name in ("collect_responses", "cancel_dataset")}
CALLBACK = {"wait": "callback", "callback_url": "https://labels.example.com/callback"}


@pytest.fixture(autouse=True)
def operator(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of an operator who has a key and trusts nothing else."""
    for name in ("SCALE_API_URL", "SCALE_CALLBACK_AUTH_KEY", "LABELFLOW_TRUSTED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SCALE_API_KEY", KEY)


def store(folder: Path, **changes: Any) -> Job:
    job = make_job(folder, **changes)
    job_record.save_config(open_folder(job.output), job)
    return job


def plant(folder: Path, section: str, **values: Any) -> None:
    """Change a section of the job that is stored in its output folder."""
    config = folder / "out" / "_ledger" / "config.json"
    document = json.loads(config.read_text())
    document[section] |= values
    config.write_text(json.dumps(document))


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_key_is_not_sent_to_a_planted_url(tmp_path: Path, stub_server: StubServer, command: str) -> None:
    write_manifest(tmp_path, 3)
    with running_in_process() as url:
        label(make_job(tmp_path, scale={"url": url, "mode": "live"}), wait=False)
    plant(tmp_path, "scale", url=f"{stub_server.url}/v1")
    done = run_command(
        tmp_path / "out", home=tmp_path / "home", command=COMMANDS[command], SCALE_API_KEY=KEY, LABELFLOW_TRUSTED=url
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr == (
        f"{tmp_path}/out/_ledger/config.json: scale.url ('{stub_server.url}/v1') is not trusted, because the folder's "
        "writers can change it; if it is right, name the job's config file instead of its folder, or add it to "
        "LABELFLOW_TRUSTED\n"
    )
    assert stub_server.requests == []


def test_secret_with_a_planted_name_is_not_sent(tmp_path: Path, stub_server: StubServer) -> None:
    write_manifest(tmp_path, 3)
    with running_in_process() as url:
        label(make_job(tmp_path, scale={"url": url, "mode": "live"}), wait=False)
    plant(tmp_path, "scale", url=f"{stub_server.url}/v1", key="env:AWS_SECRET_ACCESS_KEY")
    keys = {"SCALE_API_KEY": "", "AWS_SECRET_ACCESS_KEY": AWS_SECRET}
    done = run_command(
        tmp_path / "out",
        home=tmp_path / "home",
        command=COMMANDS["collect_responses"],
        LABELFLOW_TRUSTED=f"{stub_server.url}/v1",
        **keys,
    )
    assert done.returncode == 2
    assert "scale.key ('env:AWS_SECRET_ACCESS_KEY') is not trusted" in done.stderr
    assert stub_server.requests == []


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"scale": {"url": "http://127.0.0.1:9/v1"}}, "scale.url", "http://127.0.0.1:9/v1"),
        ({"s3": {"credentials": "block:other"}}, "s3.credentials", "block:other"),
        ({"collect": CALLBACK}, "collect.callback_url", CALLBACK["callback_url"]),
        ({"collect": {"auth_key": "env:HOME"}}, "collect.auth_key", "env:HOME"),
        ({"runner": {"type": "dask", "scheduler": "tcp://10.0.0.1:8786"}}, "runner.scheduler", "tcp://10.0.0.1:8786"),
    ],
)
def test_address_or_reference_of_a_folder_must_be_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], field: str, value: str
) -> None:
    job = store(tmp_path, **changes)
    with pytest.raises(InvalidInput, match=rf"config.json: {field} \('{value}'\) is not trusted.* LABELFLOW_TRUSTED"):
        find_single_job(job.output)
    monkeypatch.setenv("LABELFLOW_TRUSTED", f"https://other.example/v1, {value},")
    assert find_single_job(job.output) == job


def test_defaults_and_what_the_environment_sets_are_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store(tmp_path)
    assert find_single_job(str(tmp_path / "out")).scale.url == "https://api.scale.com/v1"
    monkeypatch.setenv("SCALE_API_URL", "http://127.0.0.1:9/v1")
    assert find_single_job(str(tmp_path / "out")).scale.url == "http://127.0.0.1:9/v1"


def test_all_settings_that_are_not_trusted_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCALE_API_KEY")
    store(tmp_path, scale={"url": "http://a.example/v1", "key": "block:b"})
    message = r"scale.url \('http://a.example/v1'\), scale.key \('block:b'\) are not trusted.*add them to"
    with pytest.raises(InvalidInput, match=message):
        find_single_job(str(tmp_path / "out"))


def test_invalid_list_is_reported_without_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store(tmp_path)
    monkeypatch.setenv("LABELFLOW_TRUSTED", f"https://a.example/v1,{KEY}")
    with pytest.raises(InvalidInput, match="LABELFLOW_TRUSTED: entry 2 is not a URL, env:NAME or block:NAME") as caught:
        find_single_job(str(tmp_path / "out"))
    assert KEY not in str(caught.value)


def test_cancellation_by_config_file_uses_the_url_of_the_config_file(tmp_path: Path, stub_server: StubServer) -> None:
    write_manifest(tmp_path, 3)
    with running_in_process(turnaround=3600) as url:
        changes = {"scale": {"url": url, "mode": "live"}}
        label(make_job(tmp_path, **changes), wait=False)
        plant(tmp_path, "scale", url=f"{stub_server.url}/v1")
        config = write_config(tmp_path, **changes)
        command = COMMANDS["cancel_dataset"]
        done = run_command(config, "--yes", home=tmp_path / "home", command=command, SCALE_API_KEY=KEY)
    assert done.returncode == 0, done.stderr
    assert "3 tasks canceled" in done.stdout
    assert stub_server.requests == []
