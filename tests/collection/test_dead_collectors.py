"""A collector that died in another container, or on another host, does not stop the collection."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from labelflow.concurrency import lease_record
from labelflow.concurrency.lease import COLLECTORS, Lease
from labelflow.concurrency.lease_record import LeaseRecord
from labelflow.jobs.job import Job
from labelflow.ledger.context import open_existing_job
from labelflow.operations.collect import CollectionResult, collect_job
from labelflow.storage.opening import open_folder
from tests.support.commands import ROOT
from tests.support.jobs import make_job
from tests.support.run_job import label
from tests.support.sandbox import running_in_process

ROWS = 20
HOLD_LEASE = """
import sys, time
from labelflow.concurrency.lease import COLLECTORS, Lease
from labelflow.storage.opening import open_folder
assert Lease(open_folder(sys.argv[1]), COLLECTORS, exclusive=True, request_timeout=1).try_acquire() is None
print("acquired", flush=True)
time.sleep(600)
"""


def submit(folder: Path, url: str) -> Job:
    lines = [json.dumps({"id": f"r{number}", "text": f"text {number}"}) for number in range(ROWS)]
    (folder / "manifest.jsonl").write_text("\n".join(lines))
    job = make_job(folder, scale={"url": url, "mode": "live"})
    label(job, limit=1, wait=False)
    label(job, wait=False)
    return job


def collect(job: Job) -> CollectionResult:
    with closing(open_existing_job(job)) as context:
        return collect_job(context)


@pytest.fixture(autouse=True)
def live_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "live_collectors")


def test_collector_killed_in_a_pid_namespace_of_its_own_is_replaced(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    assert unshare, "unshare is missing: install util-linux"
    with running_in_process(turnaround=0) as url:
        job = submit(tmp_path, url)
        for part in (tmp_path / "out" / "labels").glob("*.parquet"):
            part.unlink()
        command = [unshare, "--pid", "--fork", "--kill-child", sys.executable, "-c", HOLD_LEASE, job.output]
        holder = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert holder.stdout
        assert holder.stdout.readline() == "acquired\n"
        os.killpg(holder.pid, signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
        [name] = [file.name for file in open_folder(job.output).list(COLLECTORS)]
        content = (tmp_path / "out" / name).read_text()
        record = LeaseRecord.model_validate_json(content)
        assert not record.is_dead(), "its pid means nothing here"
        # The holder had the ordinary timeout: a tenth of it is enough for a test.
        (tmp_path / "out" / name).write_text(record.model_copy(update={"timeout": 1.5}).model_dump_json())
        started = time.monotonic()
        result = collect(job)
        assert (result.labeled, result.waiting, result.blocked_by) == (ROWS, 0, None)
        assert time.monotonic() - started < 30
    assert not list(open_folder(job.output).list(COLLECTORS))


def test_old_record_of_another_host_is_stale_for_a_process_that_has_just_started(tmp_path: Path) -> None:
    folder = open_folder(str(tmp_path / "out"))
    foreign = LeaseRecord(exclusive=True, timeout=60, machine="another", pid=1, host="gone")
    folder.write(f"{COLLECTORS}{foreign.id}.json", foreign.model_dump_json().encode())
    lease = Lease(folder, COLLECTORS, exclusive=True, request_timeout=1)
    assert lease.try_acquire() is not None, "it may be alive"
    written_at = time.time() - 61
    os.utime(tmp_path / "out" / f"{COLLECTORS}{foreign.id}.json", (written_at, written_at))
    other = Lease(folder, COLLECTORS, exclusive=True, request_timeout=1)
    assert other.try_acquire() is None
    other.release()


def test_pass_beside_an_active_collector_reports_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_record, "HEARTBEAT_INTERVAL", 0.1)
    with running_in_process(turnaround=3600) as url:
        job = submit(tmp_path, url)
        active = Lease(open_folder(job.output), COLLECTORS, exclusive=True, request_timeout=1)
        assert active.try_acquire() is None
        result = collect(job)
        active.release()
        assert str(os.getpid()) in str(result.blocked_by)
        assert collect(job).blocked_by is None
