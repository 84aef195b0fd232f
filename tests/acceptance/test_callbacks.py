"""Callbacks end to end: a receiver that is killed, a sandbox that sends them, and labels that come by them alone."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import requests

from labeling.begun import BegunJob
from labeling.collecting import Collector
from labeling.job import Job
from sandbox.server import running
from scale.client import ScaleClient
from scale.contract import Task
from tests.acceptance.callbacks.service import COMMAND, KEY, ROOT, environment, free_port, serving
from tests.acceptance.callbacks.storm import FORGED_CATEGORY, storm
from tests.acceptance.commands import run, until, write_manifest
from tests.labeling.driver import label
from tests.labeling.jobs import make_job, write_config
from tests.labeling.media_server import MediaServer, file, picture

API_KEY = "live_callbacks"
ROWS = 150
DAY = 20  # seconds that the day of callback retries takes


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALE_API_KEY", API_KEY)
    monkeypatch.setenv("SCALE_CALLBACK_AUTH_KEY", KEY)


@pytest.fixture
def media() -> Iterator[MediaServer]:
    server = MediaServer()
    yield server
    server.close()


def rows(folder: Path, name: str = "labels") -> list[dict[str, Any]]:
    """The rows of labels/ or errors/, by row_id; those that are there twice show."""
    path = folder / "out" / name
    found = pq.read_table(path).to_pylist() if path.exists() and list(path.glob("*.parquet")) else []
    return sorted(found, key=lambda row: str(row["row_id"]))


def tasks(url: str) -> list[Task]:
    with ScaleClient(API_KEY, url) as client:
        return sorted(client.list_tasks(), key=lambda task: str(task.metadata["row_id"]))


def take_callbacks(job: Job) -> None:
    """A look at the callbacks alone: the API is not asked."""
    with closing(BegunJob(job)) as begun:
        Collector(begun.job, begun.client, begun.ledger, begun.folder, begun.source_type, begun.stop).collect(
            poll=False
        )


def test_what_was_acknowledged_is_labeled_whatever_is_killed_and_nothing_forged_is(tmp_path: Path) -> None:
    tally = storm(tmp_path, count=3000, kills=5, seed=20_261_124)
    assert tally.kills == 5
    answered = {(what, status) for what, status in tally.statuses}
    assert answered == {
        ("good", 200),
        ("duplicate", 200),
        ("foreign", 200),
        ("forged", 401),
        ("malformed", 400),
    }
    assert sorted(row["row_id"] for row in tally.labels) == sorted(f"r{number}" for number in range(3000))
    assert not any(row["category"] == [FORGED_CATEGORY] for row in tally.labels)
    assert tally.set_aside > 0
    assert not list((tmp_path / "out" / "_ledger" / "callbacks").iterdir()), "all of them were taken over"
    assert KEY not in tally.said


def test_what_the_sandbox_saw_acknowledged_is_labeled(tmp_path: Path) -> None:
    write_manifest(tmp_path, 200)
    faults = "seed=3, duplicate-callback=10%:1s, late-callback=5%:1s"
    with running(turnaround="1-12", callback_day=DAY, faults=faults) as url:
        config = write_config(tmp_path, scale={"url": url, "mode": "live"})
        with serving(config) as service:
            job = make_job(
                tmp_path,
                scale={"url": url, "mode": "live"},
                completion={"callback_url": f"{service.url}/callback"},
            )
            label(job, wait=False)
            for _ in range(5):
                time.sleep(0.7)
                service.kill_and_restart()
            until(lambda: all("callback_succeeded" in task.raw for task in tasks(url)))
            take_callbacks(job)
            seen = {task.task_id for task in tasks(url) if task.raw["callback_succeeded"]}
    assert len(seen) == 200, "retries reach a receiver that is up again"
    assert seen == {row["task_id"] for row in rows(tmp_path)}


@pytest.mark.parametrize("dialect", ["today", "2017"])
def test_callbacks_alone_and_polling_alone_label_alike(
    tmp_path: Path, dialect: str, media: MediaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bad attachments among them: in the dialect of 2017 their callback comes without the task."""
    media.serve("/cat.png", file(picture(31, 17), "image/png"))
    write_image_manifest(tmp_path, media.url, ROWS)
    port = free_port()
    callback: dict[str, Any] = {"wait": "callback", "callback_url": f"http://127.0.0.1:{port}/callback", "port": port}
    found = {}
    with running(turnaround="0.5-4", dialect=dialect, faults="seed=5, error=5%") as url:
        for completion in ({**callback, "every": "1h"}, {"every": "0.5s"}):
            way = completion.get("wait", "poll")
            monkeypatch.setenv("SCALE_API_KEY", f"live_{way}")
            job = image_job(tmp_path, url, way, completion)
            summary = label(job)
            assert summary.labeled + summary.error == summary.rows == ROWS
            found[way] = [[told(row) for row in rows(tmp_path / way, name)] for name in ("labels", "errors")]
    assert found["callback"] == found["poll"]
    reasons = {row["reason"] for row in found["callback"][1]}
    assert f"One or more attachments could not be downloaded. (HTTP 404: {media.url}/gone.png)" in reasons
    assert len(reasons) == 2


def write_image_manifest(folder: Path, url: str, count: int) -> None:
    pictures = [f"{url}/{'gone' if number % 20 == 7 else 'cat'}.png?sig=5ec2e7" for number in range(count)]
    lines = [json.dumps({"id": f"r{number}", "picture": picture}) for number, picture in enumerate(pictures)]
    (folder / "manifest.jsonl").write_text("\n".join(lines))


def image_job(folder: Path, url: str, name: str, completion: dict[str, Any]) -> Job:
    task = {"attachment_type": "image", "attachment": "{picture}", "type": "categorization"}
    return make_job(
        folder,
        task={**task, "instruction": "Which is it?", "categories": ["a", "b"]},
        output=str(folder / name / "out"),
        attachments={"check": "off"},
        scale={"url": url, "mode": "live"},
        completion=completion,
    )


def told(row: dict[str, Any]) -> dict[str, Any]:
    """What is the same in two runs: all but ids and times."""
    differs = ("task_id", "unique_id", "created_at", "completed_at", "updated_at")
    return {name: value for name, value in row.items() if name not in differs}


def test_recalled_duplicate_late_and_overtaken_answers_end_as_the_server_has_them(tmp_path: Path) -> None:
    write_manifest(tmp_path, ROWS)
    faults = "seed=9, recall=20%:1s, duplicate-callback=15%:1.5s, late-callback=15%:1.5s, order=10%:1s"
    with running(turnaround="0.2-2", callback_day=DAY, faults=faults) as url:
        config = write_config(tmp_path, scale={"url": url, "mode": "live"})
        with serving(config) as service:
            called = {"callback_url": f"{service.url}/callback"}
            job = make_job(tmp_path, scale={"url": url, "mode": "live"}, completion=called)
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
    completion = {"wait": "callback", "callback_url": f"http://127.0.0.1:{port}/callback", "port": port, "every": "1h"}
    with running(turnaround="1-3") as url:
        config = write_config(tmp_path, scale={"url": url, "mode": "live"}, completion=completion)
        home = tmp_path / "prefect"
        outcome = run(config, home=home, SCALE_API_KEY=API_KEY, SCALE_CALLBACK_AUTH_KEY=KEY)
    assert outcome.returncode == 0, outcome.stderr
    assert len(rows(tmp_path)) == 20
    assert KEY not in outcome.stdout + outcome.stderr


@pytest.mark.parametrize(
    ("changes", "more", "words"),
    [
        ({}, {"SCALE_CALLBACK_AUTH_KEY": ""}, "SCALE_CALLBACK_AUTH_KEY: the environment does not hold it"),
        ({"completion": {"wait": "callback"}}, {}, "`callback_url` is not set"),
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
