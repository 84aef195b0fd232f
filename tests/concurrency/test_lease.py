"""Leases on a folder, with real processes, on disk and in S3."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from labelflow.concurrency import lease_record, lease_watch
from labelflow.concurrency.lease import RUNS, Lease
from labelflow.concurrency.lease_record import LeaseLost, LeaseRecord
from labelflow.concurrency.lease_watch import RunLeaseCheck
from labelflow.concurrency.stop_token import StopToken
from labelflow.errors import RunAborted, StopRequested
from labelflow.storage.folder import Folder
from labelflow.storage.local import LocalFolder
from labelflow.storage.opening import open_folder
from tests.support.s3_servers import Bucket

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["disk", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    if request.param == "disk":
        return open_folder(str(tmp_path))
    bucket: Bucket = request.getfixturevalue("bucket")
    return open_folder(bucket.uri("out"))


@pytest.fixture
def fast_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_record, "HEARTBEAT_INTERVAL", 0.05)
    monkeypatch.setattr(lease_record, "HEARTBEAT_TIMEOUT", 0.4)


def exclusive_lease(folder: Folder) -> Lease:
    return Lease(folder, RUNS, exclusive=True, request_timeout=20)


def shared_lease(folder: Folder) -> Lease:
    return Lease(folder, RUNS, exclusive=False, request_timeout=20)


def test_exclusive_lease_is_acquired_once_and_again_after_release(folder: Folder) -> None:
    first, second = exclusive_lease(folder), exclusive_lease(folder)
    assert first.try_acquire() is None
    conflict = second.try_acquire()
    assert conflict is not None
    assert conflict.pid == os.getpid()
    first.release()
    assert second.try_acquire() is None
    second.release()
    assert folder.list(RUNS) == []


def test_shared_leases_coexist_and_block_an_exclusive_one(folder: Folder) -> None:
    first, second, exclusive = shared_lease(folder), shared_lease(folder), exclusive_lease(folder)
    assert first.try_acquire() is None
    assert second.try_acquire() is None
    assert exclusive.try_acquire() is not None
    first.release()
    assert exclusive.try_acquire() is not None
    second.release()
    assert exclusive.try_acquire() is None
    assert first.try_acquire() is not None
    exclusive.release()


@pytest.mark.usefixtures("fast_heartbeat")
def test_second_run_is_refused_and_the_lease_holder_is_named(folder: Folder) -> None:
    first = exclusive_lease(folder)
    first.try_acquire()
    with pytest.raises(RunAborted, match=rf"another run of this job is active \(process {os.getpid()} on "):
        exclusive_lease(folder).acquire(time.sleep)
    first.release()


def test_concurrent_acquisition_has_at_most_one_lease_holder(tmp_path: Path) -> None:
    folder, holders, max_holders, acquired = LocalFolder(str(tmp_path)), [0], [0], [0]
    lock = threading.Lock()

    def contend(_: int) -> None:
        lease = exclusive_lease(folder)
        for _ in range(15):
            if lease.try_acquire() is None:
                with lock:
                    holders[0] += 1
                    max_holders[0] = max(max_holders[0], holders[0])
                    acquired[0] += 1
                time.sleep(0.002)
                with lock:
                    holders[0] -= 1
                lease.release()
            time.sleep(0.003)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(contend, range(4)))
    assert max_holders == [1]
    assert acquired[0] > 1


HOLD_SCRIPT = """
import sys, time
from labelflow.concurrency.lease import RUNS, Lease
from labelflow.storage.opening import open_folder
lease = Lease(open_folder(sys.argv[1]), RUNS, exclusive=True, request_timeout=20)
assert lease.try_acquire() is None
print("acquired", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD_SCRIPT, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "acquired\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_lease_of_a_killed_holder_is_free_immediately_on_its_machine(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    folder = LocalFolder(str(tmp_path))
    lease = exclusive_lease(folder)
    assert lease.try_acquire() is not None
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert lease.try_acquire() is None
    assert [record.pid for record in lease.abandoned] == [holder.pid]
    lease.clear_abandoned()
    assert len(folder.list(RUNS)) == 1
    lease.release()


def test_stale_lease_holder_on_another_machine_loses_the_lease(folder: Folder) -> None:
    remote = LeaseRecord(exclusive=True, machine="another", pid=1, timeout=0.3)
    folder.write(f"{RUNS}{remote.id}.json", remote.model_dump_json().encode())
    lease = exclusive_lease(folder)
    started = time.monotonic()
    lease.acquire(time.sleep)
    assert time.monotonic() - started >= 0.3
    assert [record.id for record in lease.abandoned] == [remote.id]
    record = LeaseRecord.model_validate_json(folder.read(f"{RUNS}{remote.id}.json") or b"")
    assert record.released, "if the holder is alive after all, it finds out"
    lease.release()


@pytest.mark.usefixtures("fast_heartbeat")
def test_lease_holder_presumed_dead_stops(folder: Folder) -> None:
    lease = exclusive_lease(folder)
    lease.try_acquire()
    lease.check()
    [file] = folder.list(RUNS)
    holder = LeaseRecord.model_validate_json(folder.read(file.name) or b"")
    folder.write(file.name, holder.model_copy(update={"released": True}).model_dump_json().encode())
    time.sleep(0.5)
    with pytest.raises(LeaseLost):
        lease.check()
    lease.release()


@pytest.mark.usefixtures("fast_heartbeat")
def test_lease_holder_with_unavailable_storage_stops_in_time(tmp_path: Path) -> None:
    lease = exclusive_lease(LocalFolder(str(tmp_path / "out")))
    lease.try_acquire()
    time.sleep(0.6)
    lease.check()
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    (tmp_path / "out").write_text("not a folder")
    time.sleep(0.6)
    with pytest.raises(LeaseLost):
        lease.check()
    (tmp_path / "out").unlink()
    (tmp_path / "elsewhere").rename(tmp_path / "out")
    lease.release()


def test_kept_lease_record_keeps_its_start_time_and_does_not_accumulate(folder: Folder) -> None:
    since = []
    for _ in range(3):
        lease = exclusive_lease(folder)
        lease.acquire(time.sleep)
        lease.release(keep_record=True)
        [file] = folder.list(RUNS)
        since.append(LeaseRecord.model_validate_json(folder.read(file.name) or b"").since)
    assert len(set(since)) == 1
    lease = shared_lease(folder)
    lease.acquire(time.sleep)
    assert [record.exclusive for record in lease.abandoned] == [True]
    lease.clear_abandoned()
    lease.release()
    assert folder.list(RUNS) == []


def test_corrupt_lease_file_is_named(folder: Folder) -> None:
    folder.write(RUNS + "x.json", b"{")
    with pytest.raises(RunAborted, match=r"runs/x\.json is corrupt"):
        exclusive_lease(folder).try_acquire()


@pytest.fixture
def frequent_lease_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The heartbeat may pause for as long as in production: on a busy machine it is late."""
    monkeypatch.setattr(lease_record, "HEARTBEAT_INTERVAL", 0.05)
    monkeypatch.setattr(lease_watch, "WATCH_INTERVAL", 0.0)


def check_repeatedly(watcher: RunLeaseCheck, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        watcher.check()
        time.sleep(0.005)


@pytest.mark.usefixtures("frequent_lease_checks")
def test_lease_watcher_continues_while_the_lease_is_held(folder: Folder) -> None:
    holder = exclusive_lease(folder)
    holder.try_acquire()
    watcher = RunLeaseCheck(folder, holder.file)
    watcher.check()
    holder.release()
    with pytest.raises(LeaseLost, match="the run of this worker has ended"):
        watcher.check()


@pytest.mark.usefixtures("frequent_lease_checks")
def test_lease_watcher_stops_when_the_run_stops(folder: Folder) -> None:
    stop = StopToken()
    holder = Lease(folder, RUNS, exclusive=False, request_timeout=20, stop=stop)
    holder.try_acquire()
    watcher = RunLeaseCheck(folder, holder.file)
    watcher.check()
    stop.set()
    with pytest.raises(StopRequested):
        check_repeatedly(watcher, seconds=10)
    holder.release(keep_record=True)


@pytest.mark.usefixtures("frequent_lease_checks", "fast_heartbeat")
def test_lease_watcher_stops_when_the_heartbeat_is_stale(folder: Folder) -> None:
    stale = LeaseRecord(exclusive=True, timeout=60, has_workers=True)
    folder.write(f"{RUNS}{stale.id}.json", stale.model_dump_json().encode())
    watcher = RunLeaseCheck(folder, f"{RUNS}{stale.id}.json")
    watcher.check()
    time.sleep(0.5)
    with pytest.raises(LeaseLost):
        watcher.check()


def test_run_with_workers_is_not_dead_when_its_process_is() -> None:
    process = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    dead = LeaseRecord(exclusive=True, timeout=60, pid=int(process.stdout))
    assert dead.is_dead()
    assert not dead.model_copy(update={"has_workers": True}).is_dead()


@pytest.mark.parametrize(
    "planted",
    [
        {"id": "../../../victim"},
        {"id": "0123456789abcdef/../x"},
        {"pid": -1},
        {"pid": 1 << 70},
        {"timeout": 1e300},
        {"timeout": 0},
    ],
)
def test_planted_record_neither_deletes_another_file_nor_blocks_for_ever(
    tmp_path: Path, planted: dict[str, Any]
) -> None:
    victim = tmp_path / "victim.json"
    victim.write_text("precious")
    folder = open_folder(str(tmp_path / "a" / "out"))
    record = LeaseRecord(exclusive=True, timeout=60, released=True).model_dump(mode="json") | planted
    folder.write(f"{RUNS}planted.json", json.dumps(record).encode())
    lease = Lease(folder, RUNS, exclusive=True, request_timeout=1)
    with pytest.raises(RunAborted, match=r"planted.json is corrupt; delete it once no run is active"):
        lease.acquire(time.sleep)
    assert victim.read_text() == "precious"
