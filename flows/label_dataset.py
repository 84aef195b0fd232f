"""Label a data set: submit the rows of a manifest, wait for people, write typed Parquet.

python -m flows.label_dataset CONFIG [--manifest URI] [--output URI] [--limit N] [--dry-run] [--no-wait]
[--yes]
"""

from __future__ import annotations

if __name__ == "__main__":  # before Prefect is imported, which takes seconds: --help and bad input answer at once
    from flows.command import prepare_label_dataset

    COMMAND = prepare_label_dataset()

from collections import deque
from contextlib import closing

from prefect import flow
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from flows.prepared import open_run
from labeling.errors import LimitReached
from labeling.job import Job
from labeling.run import Run
from labeling.summary import Summary
from tasks.label import collect_answers, publish_rejects, submit_chunk, write_summary

CHUNKS_AT_ONCE = 3  # while one chunk waits for answers, the next is being checked


@flow(
    name="label-dataset",
    flow_run_name="label-{job.name}",
    task_runner=ThreadPoolTaskRunner(max_workers=CHUNKS_AT_ONCE),  # type: ignore[arg-type]
    persist_result=False,
)
def label_dataset(job: Job, limit: int | None = None, wait: bool = True) -> Summary:
    """Create one Scale task per row of the job's manifest, and write the answers as typed Parquet.

    limit: submit rows out of the first so many only.
    wait: stay until every task has come back; otherwise leave after one look.
    """
    with closing(open_run(job, limit)) as run:
        try:
            with run.counts.timing("submit"):
                submit_all(run)
        except LimitReached:
            publish_rejects(run)  # they say why
            raise
        publish_rejects(run)
        with run.counts.timing("collect"):
            collect_answers(run)
            if wait:
                collect_until_all_came_back(run)
        return write_summary(run)


def submit_all(run: Run) -> None:
    """Submit the manifest chunk by chunk, a few at once, never more of them in memory."""
    window: deque[PrefectFuture[None]] = deque()
    try:
        for chunk in run.chunks():
            window.append(submit_chunk.submit(run, chunk))
            if len(window) > CHUNKS_AT_ONCE:
                window.popleft().result()
        while window:
            window.popleft().result()
    except BaseException:
        run.stop()  # what is in the air comes down and is recorded; nothing else takes off
        for future in window:
            future.wait()
        raise


def collect_until_all_came_back(run: Run) -> None:
    """Look again and again, with growing pauses."""
    pauses = run.pauses()
    while run.waiting and next(pauses, None) is not None:
        collect_answers(run)


if __name__ == "__main__":
    COMMAND.finish(lambda: label_dataset(COMMAND.job, limit=COMMAND.limit, wait=COMMAND.wait))
