"""Label a data set: submit the rows of a manifest, wait for people, write typed Parquet.

python -m flows.label_dataset CONFIG [--manifest URI] [--output URI] [--limit N] [--dry-run] [--no-wait]
[--relabel changed|errors] [--yes]
"""

from __future__ import annotations

if __name__ == "__main__":  # before Prefect is imported, which takes seconds: --help and bad input answer at once
    from labelflow.cli.label import prepare_label_dataset

    COMMAND = prepare_label_dataset()

from collections import deque
from contextlib import closing
from typing import Annotated

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from flows.runners import MAX_CHUNKS_IN_FLIGHT, ChunkRunner, SubmittedChunk, open_runner
from labelflow.accounting.summary import Summary
from labelflow.cli import garbage
from labelflow.cli.runtime import open_run
from labelflow.errors import LimitExceeded
from labelflow.jobs.job import Job
from labelflow.operations.label import LabelRun
from labelflow.planning.relabeling import Relabel
from tasks.artifacts import ProgressArtifact
from tasks.label import collect_answers, publish_rejects, wait_and_collect, write_summary

Limit = Annotated[int | None, Field(ge=1, examples=[10])]


@flow(
    name="label-dataset",
    flow_run_name="label-{job.name}",
    task_runner=ThreadPoolTaskRunner(max_workers=MAX_CHUNKS_IN_FLIGHT),  # type: ignore[arg-type]
    persist_result=False,
)
def label_dataset(job: Job, limit: Limit = None, wait: bool = True, relabel: Relabel | None = None) -> Summary:
    """Create one Scale task per row of the job's manifest, and write the answers as typed Parquet.

    Args:
        job: What to label, how, and where the labels go: see docs/jobs.md.
        limit: Submit rows out of the first so many only.
        wait: Stay until every task has come back; otherwise leave after one look.
        relabel: Make a new task for rows that have changed, or whose task came back without a label.

    Raises:
        LimitExceeded: More rows stay without a label than the job allows.
    """
    garbage.tune_garbage_collector()
    with closing(open_run(job, limit, relabel)) as run:
        progress = ProgressArtifact(job.name)
        try:
            with open_runner(run) as runner, run.progress.timing("submit"):
                submit_all(run, runner, progress)
        except LimitExceeded:
            publish_rejects(run)  # they say why
            raise
        publish_rejects(run)
        with run.progress.timing("collect"):
            if wait:
                collect_until_finished(run, progress)
            else:
                collect_answers(run)
        summary = write_summary(run)
        summary.refuse_too_many_unlabeled(job, wait)
        return summary


def submit_all(run: LabelRun, runner: ChunkRunner, artifact: ProgressArtifact) -> None:
    """Submit the manifest chunk by chunk, a few at once, never more of them in memory."""
    window: deque[SubmittedChunk] = deque()
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
        run.stop()  # what is in the air comes down and is recorded; nothing else takes off
        for sent in window:
            sent.future.wait()
        raise


def collect_until_finished(run: LabelRun, progress: ProgressArtifact) -> None:
    """Look again and again, with growing pauses."""
    wait_and_collect(run)
    progress.show(run.progress)
    pauses = run.intervals()
    while run.pending and next(pauses, None) is not None:
        wait_and_collect(run)
        progress.show(run.progress)


if __name__ == "__main__":
    COMMAND.finish(lambda: label_dataset(COMMAND.job, limit=COMMAND.limit, wait=COMMAND.wait, relabel=COMMAND.relabel))
