"""A server that goes away, or takes the key no more: the run ends with one message, and the next goes on."""

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

from labelflow.sandbox.testing import listening_url, running, start, stop
from labelflow.scale.client import ScaleClient
from labelflow.scale.errors import NotSent, ServerTrouble, Unauthorized
from labelflow.scale.retry import RetryPolicy
from tests.acceptance.commands import made, prefect_servers, run, started, until, write_manifest
from tests.acceptance.fast_retry import SHORT
from tests.conftest import Scripted
from tests.submission.test_submitter import Answer, Api
from tests.support.jobs import make_job, write_config
from tests.support.run_job import label

KEY = "test_command"


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RetryPolicy, "pause_after", lambda *_: SHORT)
    monkeypatch.setenv("SCALE_API_KEY", KEY)


class Vanishing:
    """A sandbox that can be killed, and comes back with its tasks."""

    def __init__(self, folder: Path, **options: object) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._options: dict[str, object] = {"port": port, "db": folder / "tasks.db", **options}
        self.process: subprocess.Popen[str] | None = None
        self.url = self.come()

    def come(self) -> str:
        self.process = start(**self._options)  # type: ignore[arg-type]
        return listening_url(self.process)

    def go(self) -> None:
        if self.process:
            self.process.kill()
            stop(self.process)
            self.process = None


@contextmanager
def vanishing(folder: Path, **options: object) -> Iterator[Vanishing]:
    server = Vanishing(folder, **options)
    try:
        yield server
    finally:
        server.go()


def test_a_server_that_vanishes_during_submission_ends_the_run_and_the_next_goes_on(tmp_path: Path) -> None:
    home = tmp_path / "prefect"
    write_manifest(tmp_path, 600)
    impatient = "tests.acceptance.fast_retry"
    with vanishing(tmp_path) as server:
        config = write_config(tmp_path, scale={"url": server.url}, submit={"rate": "200/s"})
        with started(config, home=home, command=[sys.executable, "-m", impatient]) as process:
            until(lambda: made(server.url))
            server.go()
            _, errors = process.communicate(timeout=30)
        assert process.returncode == 1
        assert errors.startswith(f"The Scale API: no connection to {server.url.removesuffix('/v1')}"), errors
        assert errors.endswith(f"What was created is recorded; go on with: python -m {impatient} {config}\n")
        assert len(errors.splitlines()) == 1
        assert not prefect_servers(home)
        server.come()
        rows = Counter(made(server.url))
        recorded = set(pd.read_parquet(tmp_path / "out" / "_ledger" / "submissions")["row_id"])
        assert len(rows) < 600
        assert recorded <= set(rows)
        assert len(rows) - len(recorded) <= 16, "only answers that were on their way may be lost"
        outcome = run(config, home=home)
        assert outcome.returncode == 0, outcome.stderr
        assert Counter(made(server.url)) == Counter(f"r{number}" for number in range(600))


def test_people_are_waited_for_though_the_server_is_gone_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short_pauses: None
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "live_x")
    write_manifest(tmp_path, 30)
    with vanishing(tmp_path, turnaround=1) as server:

        def be_gone_for_a_while() -> None:
            until((tmp_path / "out" / "_ledger" / "submissions").exists)
            server.go()
            time.sleep(2)
            server.come()

        changes = {"scale": {"url": server.url, "mode": "live"}, "collect": {"poll_interval": "0.2s"}}
        thread = threading.Thread(target=be_gone_for_a_while)
        thread.start()
        summary = label(make_job(tmp_path, **changes))
        thread.join()
        assert (summary.labeled, summary.created) == (30, 30)


def test_a_server_that_is_gone_for_too_long_ends_the_wait(
    tmp_path: Path, scripted: Scripted, monkeypatch: pytest.MonkeyPatch, short_pauses: None
) -> None:
    write_manifest(tmp_path, 12)
    api = Api(scripted, True, lambda *_: None)
    begun = threading.Event()

    def answer(method: str, path: str, body: bytes) -> Any:
        if method == "GET" and len(api.tasks) == 12:
            begun.set()
            return 503, {"error": "closed for today"}, {}
        return api.answer(method, path, body)

    scripted.answer = answer
    job = make_job(tmp_path, scale={"url": scripted.url}, collect={"poll_interval": "0.1s", "outage_tolerance": "1.5s"})
    start = time.monotonic()
    with pytest.raises(ServerTrouble, match="closed for today"):
        label(job)
    assert 1.5 < time.monotonic() - start < 6
    assert begun.is_set()
    scripted.answer = api.answer
    summary = label(job)
    assert (summary.labeled, summary.created) == (12, 0)


def test_a_key_that_is_revoked_stops_everything_at_once(
    tmp_path: Path, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are being tried again have pauses of many seconds before them: they are not made."""
    monkeypatch.setenv("SCALE_API_KEY", KEY)
    monkeypatch.setattr(RetryPolicy, "pause_after", lambda *_: 60.0)
    write_manifest(tmp_path, 100)
    refused: list[int] = []

    def fault(number: int, request: dict[str, Any]) -> Answer | None:
        if number >= 20:
            refused.append(number)
            return Answer(made=False, sent=(401, {"error": "no such key"}, {}))
        return Answer(made=False, sent=(503, {"error": "busy"}, {})) if number == 5 else None

    Api(scripted, True, fault)
    start = time.monotonic()
    with pytest.raises(Unauthorized, match="no such key"):
        label(make_job(tmp_path, scale={"url": scripted.url}, submit={"concurrency": 4}))
    assert time.monotonic() - start < 5
    assert len(refused) <= 4, "no more than were in the air"
    recorded = pd.read_parquet(tmp_path / "out" / "_ledger" / "submissions")
    assert len(recorded) == 18, "the twentieth was refused, and one of those before it was not made"


def test_a_key_that_is_revoked_ends_the_wait_at_once(tmp_path: Path, scripted: Scripted, short_pauses: None) -> None:
    write_manifest(tmp_path, 12)
    api = Api(scripted, True, lambda *_: None)
    refused: list[str] = []

    def answer(method: str, path: str, body: bytes) -> Any:
        if method == "GET" and len(api.tasks) == 12:
            refused.append(path)
            return 401, {"error": "no such key"}, {}
        return api.answer(method, path, body)

    scripted.answer = answer
    with pytest.raises(Unauthorized):
        label(make_job(tmp_path, scale={"url": scripted.url}))
    assert len(refused) == 1


def test_a_server_that_stays_down_is_given_up_and_everything_recorded(
    tmp_path: Path, scripted: Scripted, short_pauses: None
) -> None:
    write_manifest(tmp_path, 60)
    api = Api(scripted, True, lambda number, _: Answer(False, (503, {"error": "down"}, {})) if number >= 25 else None)
    with pytest.raises(ServerTrouble, match="down"):
        label(make_job(tmp_path, scale={"url": scripted.url}))
    recorded = pd.read_parquet(tmp_path / "out" / "_ledger" / "submissions")
    assert {task["task_id"] for task in api.tasks} == set(recorded["task_id"])
    assert len(recorded) == 24


@pytest.mark.parametrize("faults", ["seed=3, dropped=8%, 500-after=4%, lag=2s"])
def test_a_list_that_lags_makes_no_task_twice_where_the_server_does_not_know_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faults: str
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", KEY)
    write_manifest(tmp_path, 150)
    with running(dialect="2017", faults=faults) as url:
        summary = label(make_job(tmp_path, scale={"url": url}))
        time.sleep(2.1)
        with ScaleClient(KEY, url) as client:
            created = Counter(str(task.metadata["row_id"]) for task in client.list_tasks())
    assert created == Counter(f"r{number}" for number in range(150))
    assert summary.labeled == 150


def test_a_run_after_a_crash_waits_until_the_list_shows_what_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run's last tasks are not in the list yet when the second one looks."""
    monkeypatch.setenv("SCALE_API_KEY", KEY)
    write_manifest(tmp_path, 20)
    with running(dialect="2017", faults="lag=2s") as url:
        job = make_job(tmp_path, scale={"url": url})
        with monkeypatch.context() as broken:
            broken.setattr(
                "labelflow.ledger.ledger.Ledger.record", lambda *_: (_ for _ in ()).throw(NotSent("a crash"))
            )
            with pytest.raises(NotSent):
                label(job)
        summary = label(job)
        assert (summary.created, summary.recovered, summary.labeled) == (0, 20, 20)
        time.sleep(2.1)
        assert Counter(made(url)) == Counter(f"r{number}" for number in range(20))
