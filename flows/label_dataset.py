"""Label a data set: submit the rows of a manifest, wait for the answers, write typed Parquet.

python -m flows.label_dataset CONFIG [--manifest URI] [--output URI] [--limit N] [--dry-run] [--no-wait]
[--relabel changed|errors|canceled|rows] [--rows FILE] [--yes]
"""

from __future__ import annotations

if __name__ == "__main__":  # before Prefect is imported, which takes seconds: --help and usage errors are immediate
    from labelflow.cli.commands.label import prepare_label_dataset

    command = prepare_label_dataset()

from collections import deque
from contextlib import closing
from pathlib import PurePosixPath
from typing import Annotated

from prefect import flow, get_run_logger
from prefect.runtime import flow_run
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from flows.runners import MAX_CHUNKS_IN_FLIGHT, ChunkInFlight, ChunkRunner, open_runner
from flows.stopping import canceled_when_stopped
from labelflow.accounting.summary import Summary
from labelflow.cli.gc_settings import tune_garbage_collector
from labelflow.cli.prepared_run import from_parameter, open_run
from labelflow.errors import InvalidInput, TooManyUnlabeled
from labelflow.jobs.config import load_job
from labelflow.jobs.connection import describe_connection
from labelflow.jobs.field_types import Location
from labelflow.jobs.job import Job
from labelflow.operations.label import LabelRun
from labelflow.planning.relabel.relabeling import RelabelMode
from tasks.artifacts import ProgressArtifact
from tasks.label import collect_answers, wait_and_collect, write_rejects, write_summary

Config = Annotated[Location | None, Field(examples=["s3://my-bucket/jobs/street-boxes.yaml"])]
Rows = Annotated[Location | None, Field(examples=["s3://my-bucket/again.txt"])]
Limit = Annotated[int | None, Field(ge=1, examples=[10])]


def run_name() -> str:
    """Return the name of a run: that of its job, or of its config file."""
    job, config = (flow_run.parameters.get(name) for name in ("job", "config"))
    name = PurePosixPath(config or "").stem if job is None else job.name if isinstance(job, Job) else str(job["name"])
    return f"label-{name}"


@flow(
    name="label-dataset",
    flow_run_name=run_name,
    task_runner=ThreadPoolTaskRunner(max_workers=MAX_CHUNKS_IN_FLIGHT),  # type: ignore[arg-type]
    persist_result=False,
)
@canceled_when_stopped
def label_dataset(
    job: Job | None = None,
    config: Config = None,
    limit: Limit = None,
    wait: bool = True,
    relabel: RelabelMode | None = None,
    rows: Rows = None,
) -> Summary:
    """Create one Scale task per row of the job's manifest, and write the answers as typed Parquet.

    Args:
        job: What to label, how, and where to write the labels; see docs/jobs.md.
        config: Instead of `job`: its config file, a path on the worker or s3://bucket/job.yaml.
        limit: Submit only rows among the first `limit` of the manifest.
        wait: Wait until every task has finished. Otherwise collect once and finish.
        relabel: Create a new task for rows that changed since their task was created (changed), or whose task ended
            without a label (errors), or was canceled (canceled), or that `rows` lists (rows).
        rows: For relabel rows, the file that lists them: a manifest, or a .txt file with one row id per line.

    Raises:
        InvalidInput: Both or neither of `job` and `config` are given, or the job is not valid.
        TooManyUnlabeled: More rows remain without a label than the job's max_unlabeled.
    """
    tune_garbage_collector()
    with closing(open_run(job_of(job, config), limit, relabel, rows)) as run:
        job = run.plan.context.job
        get_run_logger().info("%s", describe_connection(job))
        progress = ProgressArtifact(job.name)
        try:
            with open_runner(run) as runner, run.progress.timing("submit"):
                submit_all(run, runner, progress)
        except TooManyUnlabeled:
            write_rejects(run)  # they contain the reasons
            raise
        write_rejects(run)
        with run.progress.timing("collect"):
            if wait:
                collect_until_finished(run, progress)
            else:
                collect_answers(run)
        summary = write_summary(run)
        summary.refuse_too_many_unlabeled(job, wait)
        return summary


def job_of(job: Job | None, config: str | None) -> Job:
    """Return the job of a run. Raises InvalidInput unless it is given in exactly one way."""
    if (job is None) == (config is None):
        given = "neither" if job is None else "both"
        raise InvalidInput("parameters", f"{given} of `job` and `config` were given", "give one of them")
    return from_parameter(job) if job else load_job(str(config))


def submit_all(run: LabelRun, runner: ChunkRunner, artifact: ProgressArtifact) -> None:
    """Submit the manifest chunk by chunk. Only the chunks that are in flight are in memory."""
    window: deque[ChunkInFlight] = deque()
    try:
        for chunk in run.plan.chunks():
            window.append(runner.submit(chunk))
            artifact.show(run.progress)
            if len(window) > runner.max_in_flight():
                window[0].finish()
                window.popleft()
        while window:
            window[0].finish()
            window.popleft()
            artifact.show(run.progress)
    except BaseException:
        run.stop()  # requests in flight finish and are recorded; no new ones are sent
        for chunk_in_flight in window:
            chunk_in_flight.future.wait()
        raise


def collect_until_finished(run: LabelRun, progress: ProgressArtifact) -> None:
    """Collect repeatedly, at growing intervals, until no task is pending or the job's timeout is over."""
    wait_and_collect(run)
    progress.show(run.progress)
    intervals = run.intervals()  # sleeps between two passes
    while run.pending and next(intervals, None) is not None:
        wait_and_collect(run)
        progress.show(run.progress)


if __name__ == "__main__":
    command.finish(label_dataset)
