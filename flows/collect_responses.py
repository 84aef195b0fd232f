"""Look after open jobs: what people have answered into labels/, the summary anew. One short pass; made for a schedule.

python -m flows.collect_responses CONFIG...
"""

from __future__ import annotations

if __name__ == "__main__":  # before Prefect is imported, which takes seconds: --help and bad input answer at once
    from flows.collect_command import prepare_collect_responses

    COMMAND = prepare_collect_responses()

from typing import Annotated

from prefect import flow, get_run_logger
from pydantic import Field

from flows.prepared import stop_on_signals
from labeling.begun import find_jobs
from labeling.errors import Interrupted, LabelingError, Stopped
from labeling.job import Job, Location
from labeling.stopping import Stop
from labeling.visiting import Visited
from scale.errors import ScaleError
from tasks.visit import visit_job

Outputs = Annotated[list[Location], Field(examples=[["s3://my-bucket/labels"]])]


@flow(name="collect-responses", flow_run_name="collect", persist_result=False)
def collect_responses(outputs: Outputs = [], jobs: list[Job] = []) -> list[Visited]:  # noqa: B006
    """Take over what has come back of each job. One that cannot be looked after does not keep the others waiting.

    Args:
        outputs: Output folders of jobs, or folders in which such lie: paths, or s3://bucket/prefix.
        jobs: Jobs as they stand in their configs; not needed beside `outputs`.

    Raises:
        Interrupted: At the end, where a job could not be looked after.
    """
    found = [*jobs, *(job for output in outputs for job in find_jobs(output))]
    get_run_logger().info("%d jobs to look after", len(found))
    return collect_all(found, stop_on_signals())


def collect_all(jobs: list[Job], stop: Stop) -> list[Visited]:
    """Visit the jobs one after another."""
    visited: list[Visited] = []
    failed: list[str] = []
    for job in jobs:
        try:
            visited.append(visit_job(job, stop))
        except Stopped:
            raise
        except (LabelingError, ScaleError) as error:
            failed.append(f"{job.name}: {error}")
            get_run_logger().error("%s: %s", job.name, error)
    if failed:
        raise Interrupted(f"{len(failed)} of {len(jobs)} jobs could not be looked after: " + "; ".join(failed))
    return visited


if __name__ == "__main__":
    COMMAND.finish(collect_responses)
