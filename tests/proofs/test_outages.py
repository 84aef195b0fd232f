"""A server that disappears, or rejects the key: the run ends with one message, and the next run continues."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from labelflow.errors import NotRecorded
from labelflow.sandbox.testing import listening_url, running, start, stop
from labelflow.scale.client import ScaleClient
from labelflow.scale.errors import ConnectError, ServerError, Unauthorized
from labelflow.scale.retry import RetryPolicy
from tests.conftest import StubServer
from tests.proofs.fast_retry import RETRY_PAUSE
from tests.submission.test_submitter import CreationFault, FaultyApi
from tests.support.commands import (
    created_rows,
    prefect_server_pids,
    run_command,
    running_command,
    wait_until,
    write_manifest,
)
from tests.support.jobs import make_job, write_config
from tests.support.run_job import label

KEY = "test_command"


@pytest.fixture
def short_retry_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RetryPolicy, "delay_after", lambda *_: RETRY_PAUSE)
    monkeypatch.setenv("SCALE_API_KEY", KEY)


class RestartableSandbox:
    """A sandbox that can be killed and restarted with its tasks."""

    def __init__(self, folder: Path, **options: object) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._options: dict[str, object] = {"port": port, "db": folder / "tasks.db", **options}
        self.process: subprocess.Popen[str] | None = None
        self.url = self.start()

    def start(self) -> str:
        self.process = start(**self._options)  # type: ignore[arg-type]
        return listening_url(self.process)

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            stop(self.process)
            self.process = None


@contextmanager
def running_restartable_sandbox(folder: Path, **options: object) -> Iterator[RestartableSandbox]:
    server = RestartableSandbox(folder, **options)
    try:
        yield server
    finally:
        server.kill()


def test_server_lost_during_submission_ends_the_run_and_the_next_run_resumes(
    tmp_path: Path, prefect_home: Path
) -> None:
    count = 3000
    write_manifest(tmp_path, count)
    impatient = "tests.proofs.fast_retry"
    with running_restartable_sandbox(tmp_path) as server:
        job = {"scale": {"url": server.url}}
        config = write_config(tmp_path, **job, submit={"rate": "100/s"})  # half a minute: the server is lost before
        with running_command(config, home=prefect_home, command=[sys.executable, "-m", impatient]) as process:
            wait_until(lambda: created_rows(server.url))
            server.kill()
            _, errors = process.communicate(timeout=30)
        assert process.returncode == 1
        assert errors.startswith(f"Scale API: no connection to {server.url.removesuffix('/v1')}"), errors
        assert errors.endswith(f"Created tasks are recorded; to continue, run: python -m {impatient} {config}\n")
        assert len(errors.splitlines()) == 1
        assert not prefect_server_pids(prefect_home)
        server.start()
        rows = Counter(created_rows(server.url))
        recorded = set(pd.read_parquet(tmp_path / "out" / "_ledger" / "submissions")["row_id"])
        assert len(rows) < count
        assert recorded <= set(rows)
        assert len(rows) - len(recorded) <= 16, "only responses in flight may be lost"
        write_config(tmp_path, **job)
        outcome = run_command(config, home=prefect_home)
        assert outcome.returncode == 0, outcome.stderr
        assert Counter(created_rows(server.url)) == Counter(f"r{number}" for number in range(count))


def test_collection_continues_after_a_temporary_server_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short_retry_pauses: None
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "live_x")
    write_manifest(tmp_path, 30)
    with running_restartable_sandbox(tmp_path, turnaround=1) as server:

        def be_gone_for_a_while() -> None:
            wait_until((tmp_path / "out" / "_ledger" / "submissions").exists)
            server.kill()
            time.sleep(2)
            server.start()

        changes = {"scale": {"url": server.url, "mode": "live"}, "collect": {"poll_interval": "0.2s"}}
        thread = threading.Thread(target=be_gone_for_a_while)
        thread.start()
        summary = label(make_job(tmp_path, **changes))
        thread.join()
        assert (summary.labeled, summary.created) == (30, 30)


def test_server_outage_beyond_the_tolerance_ends_the_wait(
    tmp_path: Path, stub_server: StubServer, monkeypatch: pytest.MonkeyPatch, short_retry_pauses: None
) -> None:
    write_manifest(tmp_path, 12)
    api = FaultyApi(stub_server, True, lambda *_: None)
    outage_started = threading.Event()

    def answer(method: str, path: str, body: bytes) -> Any:
        if method == "GET" and len(api.tasks) == 12:
            outage_started.set()
            return 503, {"error": "closed for today"}, {}
        return api.respond(method, path, body)

    stub_server.respond = answer
    job = make_job(
        tmp_path, scale={"url": stub_server.url}, collect={"poll_interval": "0.1s", "outage_tolerance": "1.5s"}
    )
    start = time.monotonic()
    with pytest.raises(ServerError, match="closed for today"):
        label(job)
    assert 1.5 < time.monotonic() - start < 30
    assert outage_started.is_set()
    stub_server.respond = api.respond
    summary = label(job)
    assert (summary.labeled, summary.created) == (12, 0)


def test_revoked_key_stops_submission_immediately(
    tmp_path: Path, stub_server: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retried rows would have to wait for many seconds: they are not created."""
    monkeypatch.setenv("SCALE_API_KEY", KEY)
    monkeypatch.setattr(RetryPolicy, "delay_after", lambda *_: 60.0)
    write_manifest(tmp_path, 100)
    refused: list[int] = []

    def fault(number: int, request: dict[str, Any]) -> CreationFault | None:
        if number >= 20:
            refused.append(number)
            return CreationFault(creates_task=False, response=(401, {"error": "no such key"}, {}))
        return CreationFault(creates_task=False, response=(503, {"error": "busy"}, {})) if number == 5 else None

    FaultyApi(stub_server, True, fault)
    start = time.monotonic()
    with pytest.raises(Unauthorized, match="no such key"):
        label(make_job(tmp_path, scale={"url": stub_server.url}, submit={"concurrency": 4}))
    assert time.monotonic() - start < 30
    assert len(refused) <= 4, "at most the requests in flight"
    recorded = pd.read_parquet(tmp_path / "out" / "_ledger" / "submissions")
    assert len(recorded) == 18, "the twentieth was refused, and one earlier row was not created"


def test_revoked_key_ends_the_wait_immediately(
    tmp_path: Path, stub_server: StubServer, short_retry_pauses: None
) -> None:
    write_manifest(tmp_path, 12)
    api = FaultyApi(stub_server, True, lambda *_: None)
    refused: list[str] = []

    def answer(method: str, path: str, body: bytes) -> Any:
        if method == "GET" and len(api.tasks) == 12:
            refused.append(path)
            return 401, {"error": "no such key"}, {}
        return api.respond(method, path, body)

    stub_server.respond = answer
    with pytest.raises(Unauthorized):
        label(make_job(tmp_path, scale={"url": stub_server.url}))
    assert len(refused) == 1


def test_server_that_stays_down_ends_the_run_with_everything_recorded(
    tmp_path: Path, stub_server: StubServer, short_retry_pauses: None
) -> None:
    write_manifest(tmp_path, 60)
    api = FaultyApi(
        stub_server,
        True,
        lambda number, _: CreationFault(False, (503, {"error": "down"}, {})) if number >= 25 else None,
    )
    with pytest.raises(ServerError, match="down"):
        label(make_job(tmp_path, scale={"url": stub_server.url}))
    recorded = pd.read_parquet(tmp_path / "out" / "_ledger" / "submissions")
    assert {task["task_id"] for task in api.tasks} == set(recorded["task_id"])
    assert len(recorded) == 24


@pytest.mark.parametrize("faults", ["seed=3, dropped=8%, 500-after=4%, lag=2s"])
def test_lagging_list_causes_no_duplicate_task_without_unique_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faults: str
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", KEY)
    write_manifest(tmp_path, 150)
    with running(api="2017", faults=faults) as url:
        summary = label(make_job(tmp_path, scale={"url": url}))
        time.sleep(2.1)
        with ScaleClient(KEY, url) as client:
            created = Counter(str(task.metadata["row_id"]) for task in client.list_tasks())
    assert created == Counter(f"r{number}" for number in range(150))
    assert summary.labeled == 150


def test_run_after_a_crash_waits_until_the_list_shows_created_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run's last tasks are not in the list yet when the second run reads it."""
    monkeypatch.setenv("SCALE_API_KEY", KEY)
    write_manifest(tmp_path, 20)
    with running(api="2017", faults="lag=2s") as url:
        job = make_job(tmp_path, scale={"url": url})
        with monkeypatch.context() as broken:
            broken.setattr(
                "labelflow.ledger.ledger.Ledger.record", lambda *_: (_ for _ in ()).throw(ConnectError("a crash"))
            )
            with pytest.raises(NotRecorded):
                label(job)
        summary = label(job)
        assert (summary.created, summary.recovered, summary.labeled) == (0, 20, 20)
        time.sleep(2.1)
        assert Counter(created_rows(url)) == Counter(f"r{number}" for number in range(20))
