"""The steps of a labeling run as Prefect tasks.

None retries and none caches: a repeated step would be a second request for what was asked already. The client
retries what may be retried, and the ledger knows what is done.
"""

from __future__ import annotations

import time

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from labelflow.accounting.summary import Summary
from labelflow.jobs.prefect_blocks import register_block_resolvers
from labelflow.operations.label import LabelRun
from labelflow.planning.chunk import Chunk
from labelflow.records import ChunkReport
from labelflow.redaction import redact_errors
from labelflow.submission.remote import WorkItem, execute
from tasks.artifacts import report_summary
from tasks.events import emit_labels_written

register_block_resolvers()


@task(task_run_name="submit-chunk", cache_policy=NO_CACHE, persist_result=False)
@redact_errors
def submit_chunk(run: LabelRun, chunk: Chunk) -> None:
    """Check the rows of a chunk, and create their tasks."""
    begun = time.monotonic()
    _log_rate(len(chunk.rows), begun, run.dispatcher.submit(chunk))


@task(task_run_name="submit-chunk-elsewhere", cache_policy=NO_CACHE, persist_result=False)
@redact_errors
def submit_chunk_remote(errand: WorkItem) -> ChunkReport:
    """Check the rows of a chunk, and create their tasks: in another process than the run."""
    begun = time.monotonic()
    report = execute(errand)
    _log_rate(len(errand.chunk.rows), begun, report)
    return report


def _log_rate(rows: int, begun: float, report: ChunkReport) -> None:
    rate = rows / max(time.monotonic() - begun, 1e-3)
    message = "%d rows at %.0f/s: %d tasks created, %d found made already, %d rejected, %d held back"
    numbers = (report.created, report.recovered, len(report.rejected), len(report.over_cap))
    get_run_logger().info(message, rows, rate, *numbers)


@task(task_run_name="publish-rejects", cache_policy=NO_CACHE, persist_result=False)
@redact_errors
def publish_rejects(run: LabelRun) -> None:
    """Write the rows that were not submitted, with the reasons."""
    run.finish_submission()


@task(task_run_name="collect-answers", cache_policy=NO_CACHE, persist_result=False)
@redact_errors
def collect_answers(run: LabelRun) -> int:
    """Take over what people have answered since the last look."""
    before = run.progress.labeled
    new = run.collect()
    _report_answers(run, new, run.progress.labeled - before)
    return new


@task(task_run_name="wait-and-collect", cache_policy=NO_CACHE, persist_result=False)
@redact_errors
def wait_and_collect(run: LabelRun) -> int:
    """Take over what people have answered since the last look; an API that is gone is borne for a while."""
    before = run.progress.labeled
    new = run.wait_and_collect()
    if run.progress.outage:
        get_run_logger().warning("%s; looking again", run.progress.outage)
    _report_answers(run, new, run.progress.labeled - before)
    return new


@task(task_run_name="write-summary", cache_policy=NO_CACHE, persist_result=False)
@redact_errors
def write_summary(run: LabelRun) -> Summary:
    """Account for every row."""
    summary = run.finish()
    report_summary(run.plan.context.folder, summary)
    return summary


def _report_answers(run: LabelRun, new: int, labeled: int) -> None:
    get_run_logger().info("%d new answers, %d tasks wait", new, run.pending)
    if new:
        emit_labels_written(run.plan.context.job, run.plan.context.folder, labeled, new - labeled, run.pending)
