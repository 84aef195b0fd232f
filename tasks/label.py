"""The steps of a labeling run as Prefect tasks.

None retries and none caches: a repeated step would be a second request for what was asked already. The client
retries what may be retried, and the ledger knows what is done.
"""

from __future__ import annotations

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from labeling.plan import Chunk
from labeling.run import Run
from labeling.summary import Summary


@task(task_run_name="submit-chunk", cache_policy=NO_CACHE, persist_result=False)
def submit_chunk(run: Run, chunk: Chunk) -> None:
    """Check the rows of a chunk, and create their tasks."""
    report = run.submit(chunk)
    message = "%d rows: %d tasks created, %d found made already, %d rejected, %d held back"
    numbers = (report.created, report.adopted, len(report.rejected), report.held_back)
    get_run_logger().info(message, len(chunk.rows), *numbers)


@task(task_run_name="publish-rejects", cache_policy=NO_CACHE, persist_result=False)
def publish_rejects(run: Run) -> None:
    """Write the rows that were not submitted, with the reasons."""
    run.finish_submission()


@task(task_run_name="collect-answers", cache_policy=NO_CACHE, persist_result=False)
def collect_answers(run: Run) -> int:
    """Take over what people have answered since the last look."""
    new = run.collect()
    get_run_logger().info("%d new answers, %d tasks wait", new, run.waiting)
    return new


@task(task_run_name="write-summary", cache_policy=NO_CACHE, persist_result=False)
def write_summary(run: Run) -> Summary:
    """Account for every row."""
    return run.finish()
