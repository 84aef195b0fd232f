"""What submits the chunks: threads of this process, or the workers of a Dask cluster."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prefect.futures import PrefectFuture

from labelflow.cli.temporary_prefect_server import require_prefect_api
from labelflow.errors import InvalidInput
from labelflow.jobs.job import RunnerSection
from labelflow.operations.label import LabelRun
from labelflow.planning.chunk import Chunk
from tasks.label import submit_chunk, submit_chunk_remote

if TYPE_CHECKING:
    from distributed import LocalCluster
    from prefect_dask.task_runners import DaskTaskRunner

MAX_CHUNKS_IN_FLIGHT = 3  # while one chunk waits for responses, the next is checked
CHUNKS_PER_WORKER = 2
WORKER_JOIN_TIMEOUT = 60.0  # seconds, for the first worker of a cluster


@dataclass(frozen=True, slots=True)
class ChunkInFlight:
    """A chunk that is being submitted. `finish` waits for it and records its result in the run."""

    future: PrefectFuture[Any]
    finish: Callable[[], None]


@dataclass(frozen=True, slots=True)
class ChunkRunner:
    """Submits chunks. `max_in_flight` returns how many may be in flight at once."""

    max_in_flight: Callable[[], int]
    submit: Callable[[Chunk], ChunkInFlight]


@contextmanager
def open_runner(run: LabelRun) -> Iterator[ChunkRunner]:
    """Open the runner that the job configures. Raises InvalidInput if it is not available."""
    if not run.plan.context.job.runner.is_distributed:
        yield ChunkRunner(lambda: MAX_CHUNKS_IN_FLIGHT, lambda chunk: _by_threads(run, chunk))
        return
    require_prefect_api()
    with _dask(run.plan.context.job.runner) as dask:
        yield ChunkRunner(lambda: CHUNKS_PER_WORKER * _workers(dask), lambda chunk: _by_dask(run, chunk, dask))


def _by_threads(run: LabelRun, chunk: Chunk) -> ChunkInFlight:
    future = submit_chunk.submit(run, chunk)
    return ChunkInFlight(future, future.result)


def _by_dask(run: LabelRun, chunk: Chunk, dask: DaskTaskRunner) -> ChunkInFlight:
    item = run.dispatcher.make_work_item(chunk, workers=_workers(dask))
    future = dask.submit(submit_chunk_remote, {"item": item})
    return ChunkInFlight(future, lambda: run.dispatcher.record_result(item, future.result()))


@contextmanager
def _dask(section: RunnerSection) -> Iterator[DaskTaskRunner]:
    try:
        from prefect_dask.task_runners import DaskTaskRunner
    except ImportError:
        raise InvalidInput("runner", "dask is not installed", "pip install 'labelflow[dask]'") from None

    if section.scheduler:
        try:
            with DaskTaskRunner(address=section.scheduler, client_kwargs={"timeout": WORKER_JOIN_TIMEOUT}) as dask:
                _wait_for_a_worker(dask, section.scheduler)
                yield dask
        except (OSError, TimeoutError) as error:
            raise InvalidInput(
                "runner.scheduler", str(error), "start a Dask scheduler at this address, and workers"
            ) from None
        return
    with _private_cluster(section.workers) as cluster, DaskTaskRunner(cluster=cluster) as dask:
        yield dask


@contextmanager
def _private_cluster(workers: int) -> Iterator[LocalCluster]:
    """Start a cluster that only this process can use: whoever can use it can read the keys of its workers.

    Its connections require a certificate that is in the memory of its processes only. Its web pages are off, and its
    files are in a folder that only this user can read.
    """
    import dask.config
    from distributed import LocalCluster
    from distributed.security import Security

    no_pages: dict[str, list[str]] = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
    with tempfile.TemporaryDirectory(prefix="labelflow-", ignore_cleanup_errors=True) as folder:
        with _without_ctrl_c(), dask.config.set(no_pages):
            cluster = LocalCluster(  # type: ignore[no-untyped-call]
                n_workers=workers,
                threads_per_worker=CHUNKS_PER_WORKER,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False},
                security=Security.temporary(),  # type: ignore[no-untyped-call]
                local_directory=folder,
            )
        with cluster:
            yield cluster


def _wait_for_a_worker(dask: DaskTaskRunner, scheduler: str) -> None:
    try:
        dask.client.wait_for_workers(1, timeout=WORKER_JOIN_TIMEOUT)
    except TimeoutError:
        raise TimeoutError(f"no worker has joined {scheduler} within {WORKER_JOIN_TIMEOUT:.0f} s") from None


def _workers(dask: DaskTaskRunner) -> int:
    """Return the current number of worker processes, at least 1."""
    return max(1, len(dask.client.scheduler_info(n_workers=-1)["workers"]))


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Start child processes that ignore Ctrl-C, which reaches every process of a terminal: the run stops them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
