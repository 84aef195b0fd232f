"""Chunks that are submitted by the workers of a Dask cluster, against a real Prefect server and a sandbox."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import requests
from distributed.comm import connect  # type: ignore[attr-defined]
from distributed.security import Security

from labelflow.sandbox.testing import running
from labelflow.scale.client import ScaleClient
from tests.support.commands import COMMAND, created_rows, run_command, running_command, wait_until, write_manifest
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


def listening_ports(command: int) -> list[int]:
    """The TCP ports on which a command and its child processes listen."""
    processes = [psutil.Process(command), *psutil.Process(command).children(recursive=True)]
    connections = [connection for process in processes for connection in process.net_connections("tcp")]
    return sorted({each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN})


async def accept_a_stranger(ports: list[int]) -> list[str]:
    """The addresses that accept a connection of Dask from a process that has no certificate of the cluster."""
    own: Any = Security.temporary()  # type: ignore[no-untyped-call]

    async def accepts(address: str) -> bool:
        arguments = own.get_connection_args("client") if address.startswith("tls") else {}
        try:
            comm = await asyncio.wait_for(connect(address, timeout=3, **arguments), 5)  # type: ignore[no-untyped-call]
        except (OSError, TimeoutError):
            return False
        comm.abort()
        return True

    addresses = [f"{protocol}://127.0.0.1:{port}" for protocol in ("tcp", "tls") for port in ports]
    found = await asyncio.gather(*map(accepts, addresses))
    return [address for address, accepted in zip(addresses, found, strict=True) if accepted]


def readable_page(port: int) -> bool:
    """Whether a web page of Dask can be read."""
    paths = ("/status", "/info/main/workers.html", "/json/counts.json", "/metrics", "/health")
    try:
        return any(requests.get(f"http://127.0.0.1:{port}{path}", timeout=3).ok for path in paths)
    except requests.RequestException:
        return False


def test_other_users_of_the_machine_cannot_reach_the_cluster(tmp_path: Path, prefect_api: str) -> None:
    write_manifest(tmp_path, 1000)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with running() as url:
        config = write_config(tmp_path, scale={"url": url}, submit={"rate": "20/s"}, runner="dask")
        variables = {"PREFECT_API_URL": prefect_api, "TMPDIR": str(temporary)}
        with running_command(config, home=tmp_path / "home", command=COMMAND, **variables) as process:
            wait_until(lambda: created_rows(url), seconds=90)
            ports = listening_ports(process.pid)
            assert len(ports) >= 5, "of the scheduler, two workers and their parent processes"
            accepting = asyncio.run(accept_a_stranger(ports))
            pages = [port for port in ports if readable_page(port)]
            assert (accepting, pages) == ([], [])
            (folder,) = temporary.glob("labelflow-*")
            mode = oct(folder.stat().st_mode & 0o777)
            workers = list(folder.rglob("worker-*"))
    assert mode == "0o700"
    assert workers
