"""Ctrl-C and SIGTERM at any moment: created tasks are recorded, the process ends in time, and no server remains."""

from __future__ import annotations

import os
import pty
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import requests

from labelflow.jobs.config import with_environment
from labelflow.sandbox.testing import running
from tests.support.commands import (
    COMMAND,
    ROOT,
    created_rows,
    environment,
    prefect_server_pids,
    running_command,
    wait_until,
    write_manifest,
)
from tests.support.jobs import make_job, write_config
from tests.support.run_job import label

STOP_TIMEOUT = 40  # seconds: the documented 25, and some for a busy machine
ROWS, RATE = 12_000, "200/s"  # a minute of submission: every run is stopped long before its last row


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    with running(turnaround=3600) as url:
        yield url


def recorded_rows(folder: Path) -> list[str]:
    parts = folder / "out" / "_ledger" / "submissions"
    return sorted(pd.read_parquet(parts)["row_id"]) if parts.exists() else []


def make_key(folder: Path, mode: str = "test") -> str:
    """A key that no other test uses."""
    return f"{mode}_{folder.name}"


def write_job_config(folder: Path, url: str, **scale: str) -> Path:
    return write_config(folder, scale={"url": url, **scale}, submit={"rate": RATE}, collect={"poll_interval": "1s"})


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_sigterm_during_submission_records_created_tasks(
    number: int, status: int, tmp_path: Path, api: str, prefect_home: Path
) -> None:
    write_manifest(tmp_path, ROWS)
    config, key = write_job_config(tmp_path, api), make_key(tmp_path)
    before = signal.signal(number, signal.SIG_DFL)  # the process inherits it: `nohup` would have it ignore SIGHUP
    with running_command(config, home=prefect_home, SCALE_API_KEY=key) as process:
        signal.signal(number, before)
        wait_until(lambda: created_rows(api, key))
        process.send_signal(number)
        _, errors = process.communicate(timeout=STOP_TIMEOUT)
    assert process.returncode == status
    assert errors == f"Stopped. Created tasks are recorded; to continue, run: python -m flows.label_dataset {config}\n"
    assert not prefect_server_pids(prefect_home)
    rows = created_rows(api, key)
    assert 0 < len(rows) < ROWS
    assert sorted(rows) == recorded_rows(tmp_path)


def test_signal_during_prefect_startup_ends_it_immediately(tmp_path: Path, api: str, prefect_home: Path) -> None:
    write_manifest(tmp_path, 5)
    config, key = write_job_config(tmp_path, api), make_key(tmp_path)
    with running_command(config, home=prefect_home, SCALE_API_KEY=key) as process:
        wait_until(lambda: prefect_server_pids(prefect_home))
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=3)
    assert process.returncode == 143
    assert errors.startswith(
        "Stopped before the first task was created; to continue, run: python -m flows.label_dataset"
    )
    assert not prefect_server_pids(prefect_home)
    assert created_rows(api, make_key(tmp_path)) == []


def test_ctrl_c_on_a_terminal_while_waiting_for_answers(tmp_path: Path, api: str, prefect_home: Path) -> None:
    """The terminal sends SIGINT to the whole process group, including Prefect's server."""
    write_manifest(tmp_path, 20)
    config, key = write_job_config(tmp_path, api, mode="live"), make_key(tmp_path, "live")
    terminal, user = pty.openpty()
    script = [
        sys.executable,
        "-c",
        f"import os, pty; os.login_tty({user}); os.execvp({COMMAND[0]!r}, {COMMAND!r} + [{str(config)!r}, '--yes'])",
    ]
    process = subprocess.Popen(script, cwd=ROOT, env=environment(prefect_home, SCALE_API_KEY=key), pass_fds=[user])
    os.close(user)
    shown = bytearray()
    try:
        wait_until(lambda: drain_terminal(terminal, shown) and recorded_rows(tmp_path))
        time.sleep(1)
        os.write(terminal, b"\x03")
        wait_until(lambda: drain_terminal(terminal, shown) and process.poll() is not None, STOP_TIMEOUT)
        drain_terminal(terminal, shown)
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    assert process.returncode == 130
    assert b"Stopped. Created tasks are recorded; to continue, run: " in shown
    assert b"Traceback" not in shown
    assert not prefect_server_pids(prefect_home)


def fault_count(url: str, fault: str) -> int:
    """Return how many requests of a sandbox had a fault; this request itself has none."""
    counted: dict[str, int] = requests.get(f"{url.removesuffix('/v1')}/sandbox/faults", timeout=5).json()
    return counted[fault]


def drain_terminal(terminal: int, shown: bytearray) -> bool:
    """Read the output: a full terminal buffer would block the command."""
    while select.select([terminal], [], [], 0)[0]:
        try:
            shown += os.read(terminal, 65536)
        except OSError:  # the last process on it has left
            break
    return True


@pytest.mark.parametrize(("presses", "seconds"), [(1, STOP_TIMEOUT), (2, 10)])
def test_hanging_responses_do_not_delay_a_stop(
    tmp_path: Path, prefect_home: Path, presses: int, seconds: float
) -> None:
    """In the end all threads wait for responses; the tasks of the other rows are recorded."""
    write_manifest(tmp_path, ROWS)
    with running(faults="seed=1, never=10%") as url:
        config = write_job_config(tmp_path, url, timeout="5m")
        with running_command(config, home=prefect_home) as process:
            wait_until(lambda: fault_count(url, "never") >= 5)
            process.send_signal(signal.SIGINT)
            if presses == 2:
                time.sleep(1)
                process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=seconds)
        assert process.returncode == 130
        assert errors.startswith("Stopped" if presses == 1 else "Stopped at once. The next run finds the tasks")
        assert len(errors.splitlines()) == 1
        assert not prefect_server_pids(prefect_home)
        assert bool(recorded_rows(tmp_path)) is (presses == 1)
        assert list((tmp_path / "out" / "_ledger" / "runs").iterdir()), (
            "the next run looks for the tasks whose answers did not come"
        )


@pytest.mark.parametrize("flow", ["collect_responses", "cancel_dataset"])
def test_sigterm_during_collection_or_cancellation(
    tmp_path: Path, prefect_home: Path, flow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each response takes seconds; the next pass collects the results of the cancellations that were sent."""
    key, database = make_key(tmp_path, "live"), tmp_path / "tasks.db"
    monkeypatch.setenv("SCALE_API_KEY", key)
    write_manifest(tmp_path, 250)
    with running(db=database, turnaround=3600) as url:
        monkeypatch.setenv("SCALE_API_URL", url)  # a sandbox has another port after each start
        label(with_environment(make_job(tmp_path, scale={"mode": "live"}, submit={"concurrency": 4})), wait=False)
    options = ["--yes"] if flow == "cancel_dataset" else []
    command = [sys.executable, "-m", f"flows.{flow}", str(tmp_path / "out"), *options]
    with running(db=database, turnaround=3600, faults="slow=100%:2s") as url:
        there = {"SCALE_API_KEY": key, "SCALE_API_URL": url}
        with running_command(home=prefect_home, command=command, **there) as process:
            # The first request of a cancellation checks that the tasks belong to this account.
            wait_until(lambda: fault_count(url, "slow") >= (2 if flow == "cancel_dataset" else 1))
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=STOP_TIMEOUT)
    assert process.returncode == 143, errors
    assert errors.startswith("Stopped.")
    assert errors.endswith(f"to continue, run: python -m flows.{flow} {shlex.join(command[3:])}\n")
    assert len(errors.splitlines()) == 1
    assert not prefect_server_pids(prefect_home)
    with running(db=database, turnaround=3600) as url:
        rows = created_rows(url, key)
        summary = label(make_job(tmp_path, scale={"url": url, "mode": "live"}), wait=False)
    assert sorted(rows) == recorded_rows(tmp_path)
    assert summary.canceled + summary.pending == summary.rows == 250
    assert summary.canceled < 50, "no further cancellation was sent"
    assert (summary.canceled > 0) is (flow == "cancel_dataset")


def test_signal_while_the_summary_is_written(tmp_path: Path, api: str, prefect_home: Path) -> None:
    write_manifest(tmp_path, 50)
    config = write_job_config(tmp_path, api)
    script = (
        "import os, runpy, signal, sys\nfrom labelflow.accounting.summary import Summary\nwrite = Summary.write\n"
        "def written(self, folder):\n    os.kill(os.getpid(), signal.SIGTERM)\n    write(self, folder)\n"
        f"Summary.write = written\nsys.argv = ['label_dataset', {str(config)!r}]\n"
        "runpy.run_module('flows.label_dataset', run_name='__main__')"
    )
    with running_command(
        home=prefect_home, command=[sys.executable, "-c", script], SCALE_API_KEY=make_key(tmp_path)
    ) as process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors
    assert errors.startswith("Stopped. Created tasks are recorded")
    assert "50 tasks created" in output
    assert (tmp_path / "out" / "summary.json").exists()
    assert not prefect_server_pids(prefect_home)


def test_in_flight_tasks_are_recorded_when_a_worker_cancels_the_flow(
    tmp_path: Path, api: str, prefect_home: Path
) -> None:
    """Prefect started this process: it turns SIGTERM into an exception in the main thread."""
    write_manifest(tmp_path, ROWS)
    config, key = write_job_config(tmp_path, api), make_key(tmp_path)
    script = (
        "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        "from labelflow.jobs.config import load_job\nfrom flows.label_dataset import label_dataset\n"
        f"label_dataset(load_job({str(config)!r}))"
    )
    with running_command(home=prefect_home, command=[sys.executable, "-c", script], SCALE_API_KEY=key) as process:
        wait_until(lambda: created_rows(api, key))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=STOP_TIMEOUT)
    assert process.returncode == 143
    rows = created_rows(api, key)
    assert 0 < len(rows) < ROWS
    assert sorted(rows) == recorded_rows(tmp_path)
    assert not prefect_server_pids(prefect_home)
