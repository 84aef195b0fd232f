"""Collect finished answers of open jobs into labels/ and rewrite their summaries. One short pass, for a schedule.

python -m flows.collect_responses CONFIG...
"""

from __future__ import annotations

if __name__ == "__main__":  # before Prefect is imported, which takes seconds: --help and usage errors are immediate
    from labelflow.cli.commands.collect import prepare_collect_responses

    command = prepare_collect_responses()

from typing import Annotated

from prefect import flow, get_run_logger
from prefect.runtime import flow_run
from pydantic import Field

from flows.stopping import canceled_when_stopped
from labelflow.cli.gc_settings import tune_garbage_collector
from labelflow.cli.prepared_run import from_parameter, stop_token_for_signals
from labelflow.errors import LabelflowError, OtherMode
from labelflow.jobs.connection import describe_connection
from labelflow.jobs.field_types import Location
from labelflow.jobs.job import Job
from labelflow.operations.collect import CollectionResult, collect_each
from labelflow.operations.discovery import DiscoveredJob, find_jobs
from labelflow.problems import printable
from labelflow.scale.errors import ScaleError
from tasks.collect import collect_job

Outputs = Annotated[list[Location], Field(examples=[["s3://my-bucket/labels"]])]
MAX_NAMES = 3  # jobs and folders in the name of a run


def run_name() -> str:
    """Return the name of a run: its first folders and jobs, like "collect-out, street-boxes and 2 more"."""
    parameters = flow_run.parameters
    names = [str(output) for output in parameters.get("outputs") or ()]
    names += [job.name if isinstance(job, Job) else str(job["name"]) for job in parameters.get("jobs") or ()]
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return f"collect-{', '.join(names[:MAX_NAMES])}{more}"


@flow(name="collect-responses", flow_run_name=run_name, persist_result=False)
@canceled_when_stopped
def collect_responses(outputs: Outputs = [], jobs: list[Job] = []) -> list[CollectionResult]:  # noqa: B006
    """Collect the finished answers of each job. A job that fails does not block the others. Jobs of the
    other mode, test or live, are skipped, unless no job can be collected.

    Args:
        outputs: Output folders of jobs, or folders that contain output folders: paths or s3://bucket/prefix.
        jobs: Jobs as in their config files. A job below one of the `outputs` need not be given here.

    Raises:
        CollectionFailed: A job failed. Raised after all jobs were processed.
    """
    tune_garbage_collector()
    discovered = [
        *(DiscoveredJob(job.output, from_parameter(job)) for job in jobs),
        *(job for output in outputs for job in find_jobs(output)),
    ]
    get_run_logger().info("%d jobs to collect", len(discovered))
    for connection in dict.fromkeys(describe_connection(found.job) for found in discovered if found.job):
        get_run_logger().info("%s", connection)
    stop = stop_token_for_signals()
    return collect_each(discovered, lambda job: collect_job(job, stop), log_failure)


def log_failure(name: str, error: Exception) -> None:
    """Log why a job was not collected."""
    logger = get_run_logger()
    if isinstance(error, OtherMode):
        logger.warning("%s: skipped, %s", name, error)
    elif isinstance(error, LabelflowError | ScaleError):
        logger.error("%s: %s", name, printable(str(error)))
    else:
        logger.error("%s: internal error", name, exc_info=error)


if __name__ == "__main__":
    command.finish(collect_responses)
