"""The steps of a labeling run as Prefect tasks.

No task retries or caches: a repeated step would send requests a second time. The client retries what is safe to
retry, and the ledger records what is done.
"""

from __future__ import annotations

import time

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from labelflow.accounting.summary import Summary
from labelflow.jobs.credentials.prefect_blocks import register_block_resolvers
from labelflow.operations import closed_jobs
from labelflow.operations.label import LabelRun
from labelflow.planning.chunk import Chunk
from labelflow.records import SubmissionReport
from labelflow.redaction import redact_errors
from labelflow.submission.chunk_worker import WorkItem, execute
from tasks.artifacts import show_summary
from tasks.events import best_effort, emit_job_completed, emit_labels_written

register_block_resolvers()


@task(task_run_name="submit-chunk", cache_policy=NO_CACHE, persist_result=False)
@redact_errors
def submit_chunk(run: LabelRun, chunk: Chunk) -> None:
    """Check the rows of a chunk and create their tasks."""
    started_at = time.monotonic()
    _log_rate(len(chunk.rows), started_at, run.dispatcher.submit(chunk))


@task(task_run_name="submit-chunk-remote", cache_policy=NO_CACHE, persist_result=False)
@redact_errors
def submit_chunk_remote(item: WorkItem) -> SubmissionReport:
    """Check the rows of a chunk and create their tasks, in another process than the run's."""
    started_at = time.monotonic()
    report = execute(item)
    _log_rate(len(item.chunk.rows), started_at, report)
    return report


def _log_rate(rows: int, started_at: float, report: SubmissionReport) -> None:
    rate = rows / max(time.monotonic() - started_at, 1e-3)
    message = "%d rows at %.0f/s: %d tasks created, %d already existed, %d rows rejected, %d over the cap"
    numbers = (report.created, report.recovered, len(report.rejected), len(report.over_cap))
    get_run_logger().info(message, rows, rate, *numbers)


@task(task_run_name="write-rejects", cache_policy=NO_CACHE, persist_result=False)
@redact_errors
def write_rejects(run: LabelRun) -> None:
    """Write the rows that were not submitted to rejects/, with the reasons."""
    run.finish_submission()


@task(task_run_name="collect-answers", cache_policy=NO_CACHE, persist_result=False)
@redact_errors
def collect_answers(run: LabelRun) -> int:
    """Collect what finished since the last pass. Returns the number of new answers."""
    labeled_before = run.progress.labeled
    new = run.collect()
    _report_answers(run, new, run.progress.labeled - labeled_before)
    return new


@task(task_run_name="wait-and-collect", cache_policy=NO_CACHE, persist_result=False)
@redact_errors
def wait_and_collect(run: LabelRun) -> int:
    """Collect what finished since the last pass, and tolerate an API outage for a while. Returns the number of new
    answers."""
    labeled_before = run.progress.labeled
    new = run.wait_and_collect()
    if run.progress.outage:
        get_run_logger().warning("%s; trying again", run.progress.outage)
    _report_answers(run, new, run.progress.labeled - labeled_before)
    return new


@task(task_run_name="write-summary", cache_policy=NO_CACHE, persist_result=False)
@redact_errors
def write_summary(run: LabelRun) -> Summary:
    """Write the counts of all rows to summary.json, and report them."""
    summary = run.finish()
    folder = run.plan.context.folder
    show_summary(folder, summary)
    with best_effort():
        closed_jobs.record_run(folder, summary, emit_job_completed)
    return summary


def _report_answers(run: LabelRun, new: int, labeled: int) -> None:
    get_run_logger().info("%d new answers, %d tasks pending", new, run.pending)
    if new:
        emit_labels_written(run.plan.context.job, run.plan.context.folder, labeled, new - labeled, run.pending)
