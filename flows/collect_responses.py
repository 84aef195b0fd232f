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

from labelflow.cli.gc_settings import tune_garbage_collector
from labelflow.cli.prepared_run import from_parameter, stop_token_for_signals
from labelflow.concurrency.stop_token import StopToken
from labelflow.errors import LabelflowError, OtherMode, StopRequested
from labelflow.jobs.connection import describe_connection
from labelflow.jobs.field_types import Location
from labelflow.jobs.job import Job
from labelflow.operations.collect import CollectionFailed, CollectionResult
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
    return collect_all(discovered, stop_token_for_signals())


def collect_all(discovered: list[DiscoveredJob], stop: StopToken) -> list[CollectionResult]:
    """Collect the jobs one after another. Raises CollectionFailed at the end if one failed."""
    results: list[CollectionResult] = []
    failed: dict[str, str] = {}
    other_mode: dict[str, str] = {}
    for job in discovered:
        try:
            results.append(collect_job(job.require_job(), stop))
        except StopRequested:
            raise
        except OtherMode as error:  # a folder may hold test and live jobs
            get_run_logger().warning("%s: skipped, %s", job.name, error)
            other_mode[job.name] = str(error)
        except (LabelflowError, ScaleError) as error:
            failed[job.name] = str(error)
            get_run_logger().error("%s: %s", job.name, printable(str(error)))
        except Exception as error:
            failed[job.name] = f"internal error: {error!r}"
            get_run_logger().exception("%s: internal error", job.name)
    if not results:
        failed |= other_mode
    if failed:
        raise CollectionFailed(results, failed)
    return results


if __name__ == "__main__":
    command.finish(collect_responses)
