"""Who may be at work in a folder, with real processes, on disk and in S3."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from labelflow.concurrency import lease as leases
from labelflow.concurrency.lease import RUNS, Lease, LeaseLost, LeaseRecord, LeaseWatcher
from labelflow.concurrency.stop_token import StopToken
from labelflow.errors import Cancelled, RunAborted
from labelflow.storage.folder import Folder, LocalFolder, open_folder
from tests.support.s3_servers import Bucket

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["disk", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    if request.param == "disk":
        return open_folder(str(tmp_path))
    bucket: Bucket = request.getfixturevalue("bucket")
    return open_folder(bucket.uri("out"))


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "HEARTBEAT_INTERVAL", 0.05)
    monkeypatch.setattr(leases, "HEARTBEAT_TIMEOUT", 0.4)


def exclusive(folder: Folder) -> Lease:
    return Lease(folder, RUNS, exclusive=True, request_timeout=20)


def shared(folder: Folder) -> Lease:
    return Lease(folder, RUNS, exclusive=False, request_timeout=20)


def test_one_at_a_time_and_the_next_when_it_is_given_back(folder: Folder) -> None:
    first, second = exclusive(folder), exclusive(folder)
    assert first.try_acquire() is None
    rival = second.try_acquire()
    assert rival is not None
    assert rival.pid == os.getpid()
    first.release()
    assert second.try_acquire() is None
    second.release()
    assert folder.list(RUNS) == []


def test_those_who_can_share_do_and_keep_an_exclusive_one_out(folder: Folder) -> None:
    first, second, alone = shared(folder), shared(folder), exclusive(folder)
    assert first.try_acquire() is None
    assert second.try_acquire() is None
    assert alone.try_acquire() is not None
    first.release()
    assert alone.try_acquire() is not None
    second.release()
    assert alone.try_acquire() is None
    assert first.try_acquire() is not None
    alone.release()


@pytest.mark.usefixtures("hurried")
def test_a_living_holder_is_named_and_a_second_run_refused(folder: Folder) -> None:
    first = exclusive(folder)
    first.try_acquire()
    with pytest.raises(RunAborted, match=rf"another run of this job is at work \(process {os.getpid()} on "):
        exclusive(folder).acquire(time.sleep)
    first.release()


def test_of_many_that_come_at_once_never_two_have_it(tmp_path: Path) -> None:
    folder, holding, most, had = LocalFolder(str(tmp_path)), [0], [0], [0]
    lock = threading.Lock()

    def contend(_: int) -> None:
        lease = exclusive(folder)
        for _ in range(15):
            if lease.try_acquire() is None:
                with lock:
                    holding[0] += 1
                    most[0] = max(most[0], holding[0])
                    had[0] += 1
                time.sleep(0.002)
                with lock:
                    holding[0] -= 1
                lease.release()
            time.sleep(0.003)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(contend, range(4)))
    assert most == [1]
    assert had[0] > 1


HOLD = """
import sys, time
from labelflow.concurrency.lease import RUNS, Lease
from labelflow.storage.folder import open_folder
lease = Lease(open_folder(sys.argv[1]), RUNS, exclusive=True, longest_answer=20)
assert lease.try_take() is None
print("taken", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "taken\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_killed_holders_lease_is_free_at_once_on_its_machine(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    folder = LocalFolder(str(tmp_path))
    lease = exclusive(folder)
    assert lease.try_acquire() is not None
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert lease.try_acquire() is None
    assert [left.pid for left in lease.abandoned] == [holder.pid]
    lease.clear_abandoned()
    assert len(folder.list(RUNS)) == 1
    lease.release()


def test_a_holder_elsewhere_that_stands_still_loses_it(folder: Folder) -> None:
    elsewhere = LeaseRecord(exclusive=True, machine="another", pid=1, timeout=0.3)
    folder.write(f"{RUNS}{elsewhere.id}.json", elsewhere.model_dump_json().encode())
    lease = exclusive(folder)
    begun = time.monotonic()
    lease.acquire(time.sleep)
    assert time.monotonic() - begun >= 0.3
    assert [left.id for left in lease.abandoned] == [elsewhere.id]
    told = LeaseRecord.model_validate_json(folder.read(f"{RUNS}{elsewhere.id}.json") or b"")
    assert told.released, "should it be alive after all, it finds out"
    lease.release()


@pytest.mark.usefixtures("hurried")
def test_a_holder_that_was_taken_for_dead_stops(folder: Folder) -> None:
    lease = exclusive(folder)
    lease.try_acquire()
    lease.check()
    [file] = folder.list(RUNS)
    holder = LeaseRecord.model_validate_json(folder.read(file.name) or b"")
    folder.write(file.name, holder.model_copy(update={"released": True}).model_dump_json().encode())
    time.sleep(0.5)
    with pytest.raises(LeaseLost):
        lease.check()
    lease.release()


@pytest.mark.usefixtures("hurried")
def test_a_holder_whose_store_is_gone_stops_in_time(tmp_path: Path) -> None:
    lease = exclusive(LocalFolder(str(tmp_path / "out")))
    lease.try_acquire()
    time.sleep(0.6)
    lease.check()
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    (tmp_path / "out").write_text("no folder any more")
    time.sleep(0.6)
    with pytest.raises(LeaseLost):
        lease.check()
    (tmp_path / "out").unlink()
    (tmp_path / "elsewhere").rename(tmp_path / "out")
    lease.release()


def test_a_mark_says_since_when_something_is_unsettled_and_marks_do_not_pile_up(folder: Folder) -> None:
    since = []
    for _ in range(3):
        lease = exclusive(folder)
        lease.acquire(time.sleep)
        lease.release(keep_record=True)
        [mark] = folder.list(RUNS)
        since.append(LeaseRecord.model_validate_json(folder.read(mark.name) or b"").since)
    assert len(set(since)) == 1
    lease = shared(folder)
    lease.acquire(time.sleep)
    assert [left.exclusive for left in lease.abandoned] == [True]
    lease.clear_abandoned()
    lease.release()
    assert folder.list(RUNS) == []


def test_a_damaged_file_is_named(folder: Folder) -> None:
    folder.write(RUNS + "x.json", b"{")
    with pytest.raises(RunAborted, match=r"runs/x\.json is damaged"):
        exclusive(folder).try_acquire()


@pytest.fixture
def looking_often(monkeypatch: pytest.MonkeyPatch, hurried: None) -> None:
    monkeypatch.setattr(leases, "WATCH_INTERVAL", 0.0)


def check_for(tenant: LeaseWatcher, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        tenant.check()


@pytest.mark.usefixtures("looking_often")
def test_a_tenant_works_as_long_as_the_lease_is_held(folder: Folder) -> None:
    holder = exclusive(folder)
    holder.try_acquire()
    tenant = LeaseWatcher(folder, holder.file)
    tenant.check()
    holder.release()
    with pytest.raises(LeaseLost, match="the run that this process works for is gone"):
        tenant.check()


@pytest.mark.usefixtures("looking_often")
def test_a_tenant_stops_when_the_run_does(folder: Folder) -> None:
    stop = StopToken()
    holder = Lease(folder, RUNS, exclusive=False, request_timeout=20, stop=stop)
    holder.try_acquire()
    tenant = LeaseWatcher(folder, holder.file)
    tenant.check()
    stop.set()
    with pytest.raises(Cancelled):
        check_for(tenant, seconds=10)
    holder.release(keep_record=True)


@pytest.mark.usefixtures("looking_often")
def test_a_tenant_stops_when_the_heart_of_the_run_stands_still(folder: Folder) -> None:
    silent = LeaseRecord(exclusive=True, timeout=60, has_workers=True)
    folder.write(f"{RUNS}{silent.id}.json", silent.model_dump_json().encode())
    tenant = LeaseWatcher(folder, f"{RUNS}{silent.id}.json")
    tenant.check()
    time.sleep(0.5)
    with pytest.raises(LeaseLost):
        tenant.check()


def test_a_run_that_is_spread_is_not_gone_with_its_process() -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    gone = LeaseRecord(exclusive=True, timeout=60, pid=int(ended.stdout))
    assert gone.is_dead()
    assert not gone.model_copy(update={"has_workers": True}).is_dead()
