"""Chunks that are submitted by the workers of a Dask cluster, against a real Prefect server and a sandbox."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from labelflow.sandbox.testing import running
from labelflow.scale.client import ScaleClient
from tests.support.commands import created_rows, run_command, running_command, wait_until, write_manifest
from tests.support.jobs import write_config

ROWS, RATE = 6000, 600


def worker_pids(command: int) -> list[int]:
    """The worker processes that a command has started."""
    threads = Path(f"/proc/{command}/task").glob("*/children")
    children = [child for thread in threads for child in thread.read_text().split()]
    return [int(child) for child in children if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()]


def test_rows_of_a_killed_worker_are_taken_over_by_another(tmp_path: Path, prefect_api: str) -> None:
    write_manifest(tmp_path, ROWS)
    with running() as url:
        config = write_config(tmp_path, scale={"url": url}, submit={"rate": f"{RATE}/s"}, runner="dask")
        with running_command(config, home=tmp_path / "home", PREFECT_API_URL=prefect_api) as process:
            wait_until(lambda: len(created_rows(url)) > ROWS / 4, seconds=90)
            os.kill(worker_pids(process.pid)[0], signal.SIGKILL)
            output, errors = process.communicate(timeout=150)
        assert process.returncode == 0, output + errors
        rows = Counter(created_rows(url))
        with ScaleClient("test_command", url) as client:
            times = [task.created_at for task in client.list_tasks() if task.created_at]
    assert rows == Counter(f"r{number}" for number in range(ROWS))
    labels = pd.read_parquet(tmp_path / "out" / "labels")
    assert len(labels) == ROWS
    assert labels["row_id"].is_unique
    assert (max(times) - min(times)).total_seconds() > 0.9 * ROWS / RATE, "the rate is for all workers together"


def test_max_tasks_holds_across_all_workers(tmp_path: Path, prefect_api: str) -> None:
    write_manifest(tmp_path, 2500)
    with running() as url:
        job = {"scale": {"url": url}, "runner": {"type": "dask", "workers": 2}}
        config = write_config(tmp_path, **job, submit={"max_tasks": 1700}, max_unlabeled="100%")
        first = run_command(config, "--no-wait", home=tmp_path / "home", PREFECT_API_URL=prefect_api)
        assert first.returncode == 0, first.stderr
        assert len(created_rows(url)) == 1700
        config = write_config(tmp_path, **job)
        assert run_command(config, home=tmp_path / "home", PREFECT_API_URL=prefect_api).returncode == 0
        assert Counter(created_rows(url)) == Counter(f"r{number}" for number in range(2500))


@pytest.mark.parametrize(
    ("api_version", "api", "message"),
    [
        (
            "current",
            "",
            "runner: dask needs a Prefect server that all workers can reach, and PREFECT_API_URL is not set; set",
        ),
        ("2017", "http://127.0.0.1:9/api", "does not support unique_id"),
    ],
)
def test_dask_is_rejected_where_its_guarantees_cannot_hold(
    tmp_path: Path, api_version: str, api: str, message: str
) -> None:
    write_manifest(tmp_path, 10)
    with running(api=api_version) as url:
        config = write_config(tmp_path, scale={"url": url}, runner="dask")
        outcome = run_command(config, home=tmp_path / "home", PREFECT_API_URL=api)
        assert outcome.returncode == 2
        assert message in outcome.stderr
        assert len(outcome.stderr.splitlines()) == 1
        assert created_rows(url) == []
