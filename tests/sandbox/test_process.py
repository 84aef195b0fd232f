"""The process: its command line, its end, and what outlives a kill -9."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from labelflow.sandbox.settings.options import Turnaround
from labelflow.sandbox.testing import listening_url, running, start, stop
from tests.support.media_server import Handler, MediaServer, picture
from tests.support.sandbox_client import Caller, Receiver, until


def test_tasks_outlive_kill_9(tmp_path: Path) -> None:
    db = tmp_path / "sandbox.db"
    process = start(log=tmp_path / "log", db=db, turnaround=3600)
    live = Caller(listening_url(process), "live")
    tasks = [live.text(str(i), unique_id=f"row/{i}") for i in range(150)]
    process.kill()
    stop(process)
    with running(log=tmp_path / "log", db=db, turnaround=3600) as url:
        again = Caller(url, key=live.key)
        sink = {"callback_url": url.replace("/v1", "/callback-sink")}
        for task in tasks:
            assert again.get(task["task_id"]) == {**task, **sink}
        assert again.ok("GET", "/tasks")["total"] == 150
        newer = again.text("newer")
        assert newer["task_id"] > tasks[-1]["task_id"]
        assert newer["created_at"] >= tasks[-1]["created_at"]
        taken = {**newer["params"], "instruction": "?", "unique_id": "row/7"}
        again.refused(409, "POST", "/task/categorization", json=taken)


def test_due_times_outlive_kill_9(tmp_path: Path) -> None:
    db = tmp_path / "sandbox.db"
    process = start(log=tmp_path / "log", db=db, turnaround=1)
    live = Caller(listening_url(process), "live")
    task = live.text()
    process.kill()
    stop(process)
    with running(log=tmp_path / "log", db=db, turnaround=3600) as url:
        done = Caller(url, key=live.key).done(task)
        assert done["status"] == "completed"
        assert done["completed_at"] > task["created_at"]


def test_undelivered_callbacks_outlive_kill_9(tmp_path: Path, receiver: Receiver) -> None:
    receiver.status = lambda path, count: 503
    db = tmp_path / "sandbox.db"
    process = start(log=tmp_path / "log", db=db, callback_day=600)
    trial = Caller(listening_url(process))
    task = trial.text(callback_url=f"{receiver.url}/later")
    until(lambda: len(receiver.on("/later")) >= 2)
    process.kill()
    stop(process)
    receiver.status = lambda path, count: 200
    with running(log=tmp_path / "log", db=db, callback_day=600) as url:
        again = Caller(url, key=trial.key)
        assert until(lambda: again.get(task["task_id"]).get("callback_succeeded")) is True


def test_one_database_serves_one_sandbox(tmp_path: Path) -> None:
    db = tmp_path / "sandbox.db"
    with running(log=tmp_path / "log", db=db):
        second = start(log=tmp_path / "second", db=db)
        assert second.wait(10) == 2
        stop(second)
    assert "cannot use the database" in (tmp_path / "second").read_text()
    assert "Traceback" not in (tmp_path / "second").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_fast_and_quietly(number: signal.Signals, tmp_path: Path) -> None:
    process = start(log=tmp_path / "log", turnaround=3600)
    assert process.stdout
    line = process.stdout.readline()
    assert line.startswith("Sandbox listening on http://127.0.0.1:")
    assert line.endswith("/v1\n")
    live = Caller(line.split()[-1], "live")
    live.text()
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(10) == 0
    assert time.monotonic() - began < 3
    assert process.stdout.read() == ""
    assert (tmp_path / "log").read_text() == ""
    stop(process)


def test_what_is_under_way_at_the_end_is_done_after_it(tmp_path: Path, media: MediaServer, receiver: Receiver) -> None:
    """A fetch or a callback that is broken off is no failure of the task."""
    db = tmp_path / "sandbox.db"
    answered = threading.Event()

    def slow(handler: Handler) -> None:
        answered.wait(10)
        handler.answer(200, picture())

    def status(path: str, count: int) -> int:
        answered.wait(10 if count == 1 else 0)
        return 200

    media.serve("/slow.png", slow)
    receiver.status = status
    with running(log=tmp_path / "log", db=db) as url:
        trial = Caller(url)
        boxes = {"attachment": f"{media.url}/slow.png", "objects_to_annotate": ["car"]}
        looked_at = trial.create("annotation", boxes)
        called_back = trial.text(callback_url=f"{receiver.url}/slow")
        until(lambda: media.count("/slow.png") and receiver.on("/slow"))
    answered.set()
    with running(log=tmp_path / "log", db=db) as url:
        again = Caller(url, key=trial.key)
        assert again.done(looked_at)["status"] == "completed"
        assert until(lambda: again.get(called_back["task_id"]).get("callback_succeeded")) is True
    assert (tmp_path / "log").read_text() == ""


def test_no_file_holds_a_key(tmp_path: Path) -> None:
    with running(log=tmp_path / "log", db=tmp_path / "sandbox.db") as url:
        trial = Caller(url)
        trial.done(trial.text())
        trial.refused(400, "POST", "/task/categorization", json={})
    for path in tmp_path.iterdir():
        assert trial.key.encode() not in path.read_bytes()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--turnaround", "soon"],
        ["--default-callback", "example.com"],
        ["--turnaround", "9-3"],
        ["--dialect", "1999"],
        ["--port", "1", "--host", "256.0.0.1"],
    ],
)
def test_what_cannot_be_used_is_refused(arguments: list[str]) -> None:
    outcome = subprocess.run(
        [sys.executable, "-m", "labelflow.sandbox", *arguments], capture_output=True, text=True, timeout=20
    )
    assert outcome.returncode == 2
    assert outcome.stdout == ""
    assert "Traceback" not in outcome.stderr


def test_turnarounds() -> None:
    assert Turnaround.parse("30") == Turnaround(30, 30)
    between = Turnaround.parse("60-300")
    assert between == Turnaround(60, 300)
    assert between.of("a") == between.of("a") != between.of("b")
    assert 60 <= between.of("a") <= 300
