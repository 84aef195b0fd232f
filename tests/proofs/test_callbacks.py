"""Callbacks end to end: a receiver that is killed, a sandbox that sends them, and labels from callbacks only."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import requests

from labelflow.sandbox.testing import running
from labelflow.scale.client import ScaleClient
from labelflow.scale.models import Task
from tests.proofs.callbacks.delivery import API_KEY, collect_callbacks, run_delivery_test
from tests.proofs.callbacks.load import EXPECTED_STATUS, run_load_test
from tests.proofs.callbacks.poll_vs_callback import compare_methods
from tests.proofs.callbacks.service import COMMAND, KEY, ROOT, environment, free_port, running_receiver
from tests.support.commands import run_command, write_manifest
from tests.support.jobs import make_job, write_config
from tests.support.run_job import label

ROWS = 150
DAY = 20  # seconds that the day of callback retries takes


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALE_API_KEY", API_KEY)
    monkeypatch.setenv("SCALE_CALLBACK_AUTH_KEY", KEY)


def read_rows(folder: Path, name: str = "labels") -> list[dict[str, Any]]:
    """The rows of labels/ or errors/ in order of row_id, with duplicates."""
    path = folder / "out" / name
    found = pq.read_table(path).to_pylist() if path.exists() and list(path.glob("*.parquet")) else []
    return sorted(found, key=lambda row: str(row["row_id"]))


def list_tasks(url: str) -> list[Task]:
    with ScaleClient(API_KEY, url) as client:
        return sorted(client.list_tasks(), key=lambda task: str(task.metadata["row_id"]))


def test_acknowledged_callbacks_are_labeled_despite_kills_and_forged_ones_are_not(tmp_path: Path) -> None:
    tally = run_load_test(tmp_path, count=3000, kills=5, seed=20_261_124, collect_concurrently=True)
    assert tally.violations == []
    assert {what for what, _ in tally.statuses} == set(EXPECTED_STATUS)
    assert tally.unrouted > 0
    left = list((tmp_path / "out" / "_ledger" / "callbacks").glob("[!.]*"))  # a killed writer leaves a hidden one
    assert left == [], "all callbacks were collected"


def test_callbacks_the_sandbox_saw_acknowledged_are_labeled(tmp_path: Path) -> None:
    sent = run_delivery_test(tmp_path, count=200, kills=4, seconds=10)
    assert sent.violations == [], "retries reach a receiver that is up again"
    assert (sent.kills, len(sent.succeeded)) == (4, 200)
    assert set(sent.labeled) == sent.succeeded


@pytest.mark.parametrize("api_version", ["current", "2017"])
def test_callbacks_alone_and_polling_alone_give_the_same_labels(
    tmp_path: Path, api_version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make poll-vs-callback` has more rows and longer turnarounds."""
    monkeypatch.delenv("SCALE_API_KEY")  # each way has one of its own
    ways = compare_methods(tmp_path, ROWS, turnaround="0.5-4", api_version=api_version)
    assert ways.differences == []
    reasons = {re.sub(":[0-9]+/", "/", row["reason"]) for row in ways.results["callback"].errors}
    assert "One or more attachments could not be downloaded. (HTTP 404: http://127.0.0.1/missing.png)" in reasons
    assert len(reasons) == 2


def test_recalled_duplicate_and_late_answers_match_the_server_in_the_end(tmp_path: Path) -> None:
    write_manifest(tmp_path, ROWS)
    faults = "seed=9, recall=20%:1s, duplicate-callback=15%:1.5s, late-callback=15%:1.5s, order=10%:1s"
    with running(turnaround="0.2-2", callback_day=DAY, faults=faults) as url:
        config = write_config(tmp_path, scale={"url": url, "mode": "live"})
        with running_receiver(config) as service:
            called = {"callback_url": f"{service.url}/callback"}
            job = make_job(tmp_path, scale={"url": url, "mode": "live"}, collect=called)
            label(job, wait=False)
            quiet_since = time.monotonic()
            while time.monotonic() - quiet_since < 4:
                collect_callbacks(job)
                if any(task.status == "pending" or "callback_succeeded" not in task.raw for task in list_tasks(url)):
                    quiet_since = time.monotonic()
                time.sleep(0.3)
            collect_callbacks(job)
        happened = requests.get(url.removesuffix("/v1") + "/sandbox/faults", timeout=10).json()
        on_the_server = [(task.task_id, task.completed_at, task.response) for task in list_tasks(url)]
    assert min(happened[name] for name in ("recall", "duplicate-callback", "late-callback", "order")) > 5, happened
    found = [(row["task_id"], row["completed_at"], json.loads(row["response_json"])) for row in read_rows(tmp_path)]
    assert found == on_the_server


def test_command_waits_for_callbacks_and_stops_its_receiver(tmp_path: Path, prefect_home: Path) -> None:
    write_manifest(tmp_path, 20)
    port = free_port()
    completion = {
        "wait": "callback",
        "callback_url": f"http://127.0.0.1:{port}/callback",
        "port": port,
        "poll_interval": "1h",
    }
    with running(turnaround="1-3") as url:
        config = write_config(tmp_path, scale={"url": url, "mode": "live"}, collect=completion)
        outcome = run_command(config, home=prefect_home, SCALE_API_KEY=API_KEY, SCALE_CALLBACK_AUTH_KEY=KEY)
    assert outcome.returncode == 0, outcome.stderr
    assert len(read_rows(tmp_path)) == 20
    assert KEY not in outcome.stdout + outcome.stderr


@pytest.mark.parametrize(
    ("changes", "more", "words"),
    [
        ({}, {"SCALE_CALLBACK_AUTH_KEY": ""}, "SCALE_CALLBACK_AUTH_KEY: is not set"),
        ({"collect": {"wait": "callback"}}, {}, "`callback_url` is not set"),
        ({"output": "ftp://somewhere"}, {}, "ftp://somewhere: is neither a path nor"),
    ],
)
def test_receiver_that_cannot_start_prints_one_line_with_the_reason(
    tmp_path: Path, changes: dict[str, Any], more: dict[str, str], words: str
) -> None:
    config = write_config(tmp_path, **changes)
    outcome = subprocess.run(
        [*COMMAND, str(config), "--port", "0"], cwd=ROOT, env=environment(**more), capture_output=True, text=True
    )
    assert outcome.returncode == 2
    assert words in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    assert KEY not in outcome.stdout + outcome.stderr


def test_receiver_stops_gracefully(tmp_path: Path) -> None:
    with running_receiver(write_config(tmp_path)) as service:
        assert requests.get(f"{service.url}/health", timeout=10).json() == {"status": "ok"}
        assert service.stop() == 0
    line = f"Receiving callbacks on {service.url}/callback for job, auth key from SCALE_CALLBACK_AUTH_KEY\n"
    assert service.output == line
