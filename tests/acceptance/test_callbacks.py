"""Callbacks end to end: a receiver that is killed, a sandbox that sends them, and labels that come by them alone."""

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
from tests.acceptance.callbacks.delivery import API_KEY, send, take_callbacks
from tests.acceptance.callbacks.load import RIGHT, storm
from tests.acceptance.callbacks.poll_vs_callback import go_both
from tests.acceptance.callbacks.service import COMMAND, KEY, ROOT, environment, free_port, serving
from tests.acceptance.commands import run, write_manifest
from tests.support.jobs import make_job, write_config
from tests.support.run_job import label

ROWS = 150
DAY = 20  # seconds that the day of callback retries takes


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALE_API_KEY", API_KEY)
    monkeypatch.setenv("SCALE_CALLBACK_AUTH_KEY", KEY)


def rows(folder: Path, name: str = "labels") -> list[dict[str, Any]]:
    """The rows of labels/ or errors/, by row_id; those that are there twice show."""
    path = folder / "out" / name
    found = pq.read_table(path).to_pylist() if path.exists() and list(path.glob("*.parquet")) else []
    return sorted(found, key=lambda row: str(row["row_id"]))


def tasks(url: str) -> list[Task]:
    with ScaleClient(API_KEY, url) as client:
        return sorted(client.list_tasks(), key=lambda task: str(task.metadata["row_id"]))


def test_what_was_acknowledged_is_labeled_whatever_is_killed_and_nothing_forged_is(tmp_path: Path) -> None:
    tally = storm(tmp_path, count=3000, kills=5, seed=20_261_124, collect_meanwhile=True)
    assert tally.wrong == []
    assert {what for what, _ in tally.statuses} == set(RIGHT)
    assert tally.set_aside > 0
    left = list((tmp_path / "out" / "_ledger" / "callbacks").glob("[!.]*"))  # a killed writer leaves a hidden one
    assert left == [], "all of them were taken over"


def test_what_the_sandbox_saw_acknowledged_is_labeled(tmp_path: Path) -> None:
    sent = send(tmp_path, count=200, kills=4, seconds=10)
    assert sent.wrong == [], "retries reach a receiver that is up again"
    assert (sent.kills, len(sent.succeeded)) == (4, 200)
    assert set(sent.labeled) == sent.succeeded


@pytest.mark.parametrize("dialect", ["today", "2017"])
def test_callbacks_alone_and_polling_alone_label_alike(
    tmp_path: Path, dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make poll-vs-callback` has more rows, and slower people."""
    monkeypatch.delenv("SCALE_API_KEY")  # each way has one of its own
    ways = go_both(tmp_path, ROWS, turnaround="0.5-4", dialect=dialect)
    assert ways.wrong == []
    reasons = {re.sub(":[0-9]+/", "/", row["reason"]) for row in ways.outcomes["callback"].errors}
    assert "One or more attachments could not be downloaded. (HTTP 404: http://127.0.0.1/gone.png)" in reasons
    assert len(reasons) == 2


def test_recalled_duplicate_late_and_overtaken_answers_end_as_the_server_has_them(tmp_path: Path) -> None:
    write_manifest(tmp_path, ROWS)
    faults = "seed=9, recall=20%:1s, duplicate-callback=15%:1.5s, late-callback=15%:1.5s, order=10%:1s"
    with running(turnaround="0.2-2", callback_day=DAY, faults=faults) as url:
        config = write_config(tmp_path, scale={"url": url, "mode": "live"})
        with serving(config) as service:
            called = {"callback_url": f"{service.url}/callback"}
            job = make_job(tmp_path, scale={"url": url, "mode": "live"}, collect=called)
            label(job, wait=False)
            quiet_since = time.monotonic()
            while time.monotonic() - quiet_since < 4:
                take_callbacks(job)
                if any(task.status == "pending" or "callback_succeeded" not in task.raw for task in tasks(url)):
                    quiet_since = time.monotonic()
                time.sleep(0.3)
            take_callbacks(job)
        happened = requests.get(url.removesuffix("/v1") + "/sandbox/faults", timeout=10).json()
        on_the_server = [(task.task_id, task.completed_at, task.response) for task in tasks(url)]
    assert min(happened[name] for name in ("recall", "duplicate-callback", "late-callback", "order")) > 5, happened
    found = [(row["task_id"], row["completed_at"], json.loads(row["response_json"])) for row in rows(tmp_path)]
    assert found == on_the_server


def test_the_command_waits_for_callbacks_and_its_receiver_ends_with_it(tmp_path: Path) -> None:
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
        home = tmp_path / "prefect"
        outcome = run(config, home=home, SCALE_API_KEY=API_KEY, SCALE_CALLBACK_AUTH_KEY=KEY)
    assert outcome.returncode == 0, outcome.stderr
    assert len(rows(tmp_path)) == 20
    assert KEY not in outcome.stdout + outcome.stderr


@pytest.mark.parametrize(
    ("changes", "more", "words"),
    [
        ({}, {"SCALE_CALLBACK_AUTH_KEY": ""}, "SCALE_CALLBACK_AUTH_KEY: the environment does not hold it"),
        ({"collect": {"wait": "callback"}}, {}, "`callback_url` is not set"),
        ({"output": "ftp://somewhere"}, {}, "ftp://somewhere: is neither a path nor"),
    ],
)
def test_a_service_that_cannot_start_says_why_in_one_line(
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


def test_a_service_stops_in_good_order(tmp_path: Path) -> None:
    with serving(write_config(tmp_path)) as service:
        assert requests.get(f"{service.url}/health", timeout=10).json() == {"status": "ok"}
        assert service.stop() == 0
    assert service.said == f"Receiving callbacks on {service.url}/callback for job\n"
