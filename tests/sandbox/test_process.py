"""The process: command line, shutdown, and restart after kill -9."""

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
from tests.support.sandbox_client import ApiClient, CallbackRecorder, wait_until


def test_tasks_survive_kill_9(tmp_path: Path) -> None:
    db = tmp_path / "sandbox.db"
    process = start(log=tmp_path / "log", db=db, turnaround=3600)
    live = ApiClient(listening_url(process), "live")
    tasks = [live.create_text_task(str(i), unique_id=f"row/{i}") for i in range(150)]
    process.kill()
    stop(process)
    with running(log=tmp_path / "log", db=db, turnaround=3600) as url:
        restarted = ApiClient(url, key=live.key)
        sink = {"callback_url": url.replace("/v1", "/callback-sink")}
        for task in tasks:
            assert restarted.get(task["task_id"]) == {**task, **sink}
        assert restarted.ok("GET", "/tasks")["total"] == 150
        newer = restarted.create_text_task("newer")
        assert newer["task_id"] > tasks[-1]["task_id"]
        assert newer["created_at"] >= tasks[-1]["created_at"]
        duplicate = {**newer["params"], "instruction": "?", "unique_id": "row/7"}
        restarted.expect_error(409, "POST", "/task/categorization", json=duplicate)


def test_due_times_survive_kill_9(tmp_path: Path) -> None:
    db = tmp_path / "sandbox.db"
    process = start(log=tmp_path / "log", db=db, turnaround=1)
    live = ApiClient(listening_url(process), "live")
    task = live.create_text_task()
    process.kill()
    stop(process)
    with running(log=tmp_path / "log", db=db, turnaround=3600) as url:
        done = ApiClient(url, key=live.key).wait_until_done(task)
        assert done["status"] == "completed"
        assert done["completed_at"] > task["created_at"]


def test_undelivered_callbacks_survive_kill_9(tmp_path: Path, receiver: CallbackRecorder) -> None:
    receiver.status = lambda path, count: 503
    db = tmp_path / "sandbox.db"
    process = start(log=tmp_path / "log", db=db, callback_day=600)
    test_mode = ApiClient(listening_url(process))
    task = test_mode.create_text_task(callback_url=f"{receiver.url}/later")
    wait_until(lambda: len(receiver.bodies("/later")) >= 2)
    process.kill()
    stop(process)
    receiver.status = lambda path, count: 200
    with running(log=tmp_path / "log", db=db, callback_day=600) as url:
        restarted = ApiClient(url, key=test_mode.key)
        assert wait_until(lambda: restarted.get(task["task_id"]).get("callback_succeeded")) is True


def test_one_database_serves_one_sandbox(tmp_path: Path) -> None:
    db = tmp_path / "sandbox.db"
    with running(log=tmp_path / "log", db=db):
        second = start(log=tmp_path / "second", db=db)
        assert second.wait(10) == 2
        stop(second)
    assert "cannot use the database" in (tmp_path / "second").read_text()
    assert "Traceback" not in (tmp_path / "second").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_sandbox_quickly_and_quietly(number: signal.Signals, tmp_path: Path) -> None:
    process = start(log=tmp_path / "log", turnaround=3600)
    assert process.stdout
    line = process.stdout.readline()
    assert line.startswith("Sandbox listening on http://127.0.0.1:")
    assert line.endswith("/v1\n")
    live = ApiClient(line.split()[-1], "live")
    live.create_text_task()
    start_time = time.monotonic()
    process.send_signal(number)
    assert process.wait(10) == 0
    assert time.monotonic() - start_time < 3
    assert process.stdout.read() == ""
    assert (tmp_path / "log").read_text() == ""
    stop(process)


def test_work_in_progress_at_shutdown_is_done_after_restart(
    tmp_path: Path, media: MediaServer, receiver: CallbackRecorder
) -> None:
    """An interrupted download or callback does not fail the task."""
    db = tmp_path / "sandbox.db"
    released = threading.Event()

    def slow(handler: Handler) -> None:
        released.wait(10)
        handler.answer(200, picture())

    def status(path: str, count: int) -> int:
        released.wait(10 if count == 1 else 0)
        return 200

    media.serve("/slow.png", slow)
    receiver.status = status
    with running(log=tmp_path / "log", db=db) as url:
        test_mode = ApiClient(url)
        boxes = {"attachment": f"{media.url}/slow.png", "objects_to_annotate": ["car"]}
        fetching = test_mode.create("annotation", boxes)
        calling_back = test_mode.create_text_task(callback_url=f"{receiver.url}/slow")
        wait_until(lambda: media.count("/slow.png") and receiver.bodies("/slow"))
    released.set()
    with running(log=tmp_path / "log", db=db) as url:
        restarted = ApiClient(url, key=test_mode.key)
        assert restarted.wait_until_done(fetching)["status"] == "completed"
        assert wait_until(lambda: restarted.get(calling_back["task_id"]).get("callback_succeeded")) is True
    assert (tmp_path / "log").read_text() == ""


def test_no_file_contains_a_key(tmp_path: Path) -> None:
    with running(log=tmp_path / "log", db=tmp_path / "sandbox.db") as url:
        test_mode = ApiClient(url)
        test_mode.wait_until_done(test_mode.create_text_task())
        test_mode.expect_error(400, "POST", "/task/categorization", json={})
    for path in tmp_path.iterdir():
        assert test_mode.key.encode() not in path.read_bytes()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--turnaround", "soon"],
        ["--default-callback", "example.com"],
        ["--turnaround", "9-3"],
        ["--api", "1999"],
        ["--port", "1", "--host", "256.0.0.1"],
    ],
)
def test_invalid_arguments_are_rejected(arguments: list[str]) -> None:
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
    assert between.seconds_for("a") == between.seconds_for("a") != between.seconds_for("b")
    assert 60 <= between.seconds_for("a") <= 300
