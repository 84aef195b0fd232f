"""Look after open jobs: what people have answered into labels/, the summary anew. One short pass; made for a schedule.

python -m flows.collect_responses CONFIG...
"""

from __future__ import annotations

if __name__ == "__main__":  # before Prefect is imported, which takes seconds: --help and bad input answer at once
    from labelflow.cli.collect import prepare_collect_responses

    COMMAND = prepare_collect_responses()

from typing import Annotated

from prefect import flow, get_run_logger
from prefect.runtime import flow_run
from pydantic import Field

from labelflow.cli import garbage
from labelflow.cli.runtime import stop_token_for_signals
from labelflow.concurrency.stop_token import StopToken
from labelflow.errors import Cancelled, LabelflowError
from labelflow.jobs.field_types import Location
from labelflow.jobs.job import Job
from labelflow.operations.collect import CollectionFailed, CollectionResult
from labelflow.operations.discovery import DiscoveredJob, find_jobs
from labelflow.scale.errors import ScaleError
from tasks.collect import collect_job

Outputs = Annotated[list[Location], Field(examples=[["s3://my-bucket/labels"]])]
MAX_NAMES = 3  # jobs or folders that the name of a run tells


def run_name() -> str:
    """Names a run after its jobs and folders."""
    parameters = flow_run.parameters
    names = [str(output) for output in parameters.get("outputs") or ()]
    names += [job.name if isinstance(job, Job) else str(job["name"]) for job in parameters.get("jobs") or ()]
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return f"collect-{', '.join(names[:MAX_NAMES])}{more}"


@flow(name="collect-responses", flow_run_name=run_name, persist_result=False)
def collect_responses(outputs: Outputs = [], jobs: list[Job] = []) -> list[CollectionResult]:  # noqa: B006
    """Take over what has come back of each job. One that cannot be looked after does not keep the others waiting.

    Args:
        outputs: Output folders of jobs, or folders in or below which such lie: paths, or s3://bucket/prefix.
        jobs: Jobs as they stand in their configs; not needed beside `outputs`.

    Raises:
        CollectionFailed: At the end, where a job could not be looked after.
    """
    garbage.tune_garbage_collector()
    found = [
        *(DiscoveredJob(job.output, job) for job in jobs),
        *(one for output in outputs for one in find_jobs(output)),
    ]
    get_run_logger().info("%d jobs to look after", len(found))
    return collect_all(found, stop_token_for_signals())


def collect_all(found: list[DiscoveredJob], stop: StopToken) -> list[CollectionResult]:
    """Visit the jobs one after another."""
    visited: list[CollectionResult] = []
    failed: dict[str, str] = {}
    for one in found:
        try:
            visited.append(collect_job(one.require_job(), stop))
        except Cancelled:
            raise
        except (LabelflowError, ScaleError) as error:
            failed[one.name] = str(error)
            get_run_logger().error("%s: %s", one.name, error)
        except Exception as error:
            failed[one.name] = f"a mistake of ours: {error!r}"
            get_run_logger().exception("%s: a mistake of ours", one.name)
    if failed:
        raise CollectionFailed(visited, failed)
    return visited


if __name__ == "__main__":
    COMMAND.finish(collect_responses)
