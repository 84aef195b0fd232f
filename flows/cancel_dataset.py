"""Cancel the pending tasks of a job: all of them, or those of some rows.

python -m flows.cancel_dataset CONFIG [--rows FILE] [--yes]
"""

from __future__ import annotations

if __name__ == "__main__":  # before Prefect is imported, which takes seconds: --help and usage errors are immediate
    from labelflow.cli.commands.cancel import prepare_cancel_dataset

    command = prepare_cancel_dataset()

from typing import Annotated

from prefect import flow, get_run_logger
from pydantic import Field

from flows.stopping import canceled_when_stopped
from labelflow.cli.prepared_run import from_parameter, stop_token_for_signals
from labelflow.jobs.connection import describe_connection
from labelflow.jobs.field_types import Location
from labelflow.jobs.job import Job
from labelflow.operations.cancel import Cancellation
from labelflow.operations.discovery import find_single_job
from labelflow.planning.relabel.row_ids_file import read_row_ids
from tasks.cancel import cancel_pending
from tasks.collect import collect_job

Output = Annotated[Location, Field(examples=["s3://my-bucket/labels/street-boxes"])]
Rows = Annotated[Location | None, Field(examples=["s3://my-bucket/withdrawn.txt"])]


@flow(name="cancel-dataset", flow_run_name="cancel-{output}", persist_result=False)
@canceled_when_stopped
def cancel_dataset(output: Output, rows: Rows = None, job: Job | None = None) -> Cancellation:
    """Cancel the pending tasks of a job and record the result. Safe to repeat; reports tasks that finished before.

    Args:
        output: The job's output folder: a path or s3://bucket/prefix.
        rows: File that lists the rows to cancel: a manifest, or a .txt file with one row id per line. Default: all.
        job: The job as in its config file. Default: as its last run stored it in the output folder.

    Raises:
        InvalidInput: The folder contains no job, or more than one, or a job whose URL or secrets are not trusted.
    """
    job, stop = from_parameter(job) if job else find_single_job(output), stop_token_for_signals()
    get_run_logger().info("%s", describe_connection(job))
    row_ids = read_row_ids(rows, job.manifest.row_id) if rows else None
    result = cancel_pending(job, row_ids, stop)
    collect_job(job, stop)
    return result


if __name__ == "__main__":
    command.finish(cancel_dataset)
