"""Chunks that are submitted by the workers of a Dask cluster, against a real Prefect server and a sandbox."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from labelflow.sandbox.testing import running
from labelflow.scale.client import ScaleClient
from tests.acceptance.commands import made, run, started, until, write_manifest
from tests.acceptance.prefect_server import prefect_server
from tests.support.jobs import write_config

ROWS, RATE = 6000, 600


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prefect_server(tmp_path_factory.mktemp("prefect")) as url:
        yield url


def workers_of(command: int) -> list[int]:
    """The worker processes that a command has started."""
    threads = Path(f"/proc/{command}/task").glob("*/children")
    children = [child for thread in threads for child in thread.read_text().split()]
    return [int(child) for child in children if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()]


def test_a_worker_is_killed_and_another_one_takes_its_rows_over(tmp_path: Path, server: str) -> None:
    write_manifest(tmp_path, ROWS)
    with running() as url:
        config = write_config(tmp_path, scale={"url": url}, submit={"rate": f"{RATE}/s"}, runner="dask")
        with started(config, home=tmp_path / "home", PREFECT_API_URL=server) as process:
            until(lambda: len(made(url)) > ROWS / 4, seconds=90)
            os.kill(workers_of(process.pid)[0], signal.SIGKILL)
            output, errors = process.communicate(timeout=150)
        assert process.returncode == 0, output + errors
        rows = Counter(made(url))
        with ScaleClient("test_command", url) as client:
            times = [task.created_at for task in client.list_tasks() if task.created_at]
    assert rows == Counter(f"r{number}" for number in range(ROWS))
    labels = pd.read_parquet(tmp_path / "out" / "labels")
    assert len(labels) == ROWS
    assert labels["row_id"].is_unique
    assert (max(times) - min(times)).total_seconds() > 0.9 * ROWS / RATE, "the rate is for all workers together"


def test_the_cap_holds_for_all_workers_together(tmp_path: Path, server: str) -> None:
    write_manifest(tmp_path, 2500)
    with running() as url:
        job = {"scale": {"url": url}, "runner": {"type": "dask", "workers": 2}}
        config = write_config(tmp_path, **job, submit={"max_tasks": 1700}, max_unlabeled="100%")
        first = run(config, "--no-wait", home=tmp_path / "home", PREFECT_API_URL=server)
        assert first.returncode == 0, first.stderr
        assert len(made(url)) == 1700
        config = write_config(tmp_path, **job)
        assert run(config, home=tmp_path / "home", PREFECT_API_URL=server).returncode == 0
        assert Counter(made(url)) == Counter(f"r{number}" for number in range(2500))


@pytest.mark.parametrize(
    ("dialect", "api", "message"),
    [
        ("today", "", "runner: dask needs a Prefect server that all its workers reach, and none is named; set"),
        ("2017", "http://127.0.0.1:9/api", "does not know unique_id"),
    ],
)
def test_dask_is_refused_where_it_could_not_keep_its_promises(
    tmp_path: Path, dialect: str, api: str, message: str
) -> None:
    write_manifest(tmp_path, 10)
    with running(dialect=dialect) as url:
        config = write_config(tmp_path, scale={"url": url}, runner="dask")
        outcome = run(config, home=tmp_path / "home", PREFECT_API_URL=api)
        assert outcome.returncode == 2
        assert message in outcome.stderr
        assert len(outcome.stderr.splitlines()) == 1
        assert made(url) == []
