"""An open job: what every step needs, opened once and handed down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice

import pyarrow as pa

from labelflow.concurrency.stop_token import StopToken
from labelflow.errors import InvalidInput, StorageError
from labelflow.jobs.connection import open_client
from labelflow.jobs.credentials.keys import read_key
from labelflow.jobs.credentials.secrets import use_s3_credentials
from labelflow.jobs.job import Job
from labelflow.ledger.job_record import read_source_schema
from labelflow.ledger.ledger import Ledger
from labelflow.scale.client import ScaleClient
from labelflow.scale.errors import InvalidResponse, NotFound
from labelflow.storage.folder import Folder
from labelflow.storage.opening import open_output

ACCOUNT_SAMPLE = 3  # tasks: one of them may have been deleted on the server


@dataclass(frozen=True, slots=True)
class JobContext:
    """A job with its output folder and its ledger open. Nothing here talks to the API.

    stop: checked by every loop and every wait of the job.
    """

    job: Job
    folder: Folder
    ledger: Ledger
    stop: StopToken


@dataclass(frozen=True, slots=True)
class ConnectedJob(JobContext):
    """A `JobContext` with a client of the job's API. Threads may share it."""

    client: ScaleClient

    def close(self) -> None:
        """Close the connections."""
        self.client.close()


@contextmanager
def usable_output(job: Job) -> Iterator[None]:
    """Opening the output: a storage error inside the block is a InvalidInput, because nothing was sent yet."""
    try:
        yield
    except StorageError as error:
        raise InvalidInput(f"output {job.output}", str(error), "correct the job's output") from None


def open_output_folder(job: Job) -> tuple[Folder, pa.StructType | None]:
    """The output folder of a job, and the types of the carried columns as recorded there: None for a new folder.

    Raises InvalidInput if the store cannot be reached, or if the folder belongs to another job.
    """
    use_s3_credentials(job.s3.credentials)
    with usable_output(job):
        folder = open_output(job.output)
        return folder, read_source_schema(folder, job)


def check_account(context: ConnectedJob) -> None:
    """Check that the API has the job's tasks for this key: they belong to one server and account.

    Raises InvalidInput if it has none of the first tasks of the ledger.
    """
    sample = [task_id for _, task_id in islice(context.ledger.all_tasks(), ACCOUNT_SAMPLE)]
    for task_id in sample:
        with suppress(NotFound):
            with suppress(InvalidResponse):  # the task is there, in whatever form
                context.client.get_task(task_id)
            return
    if sample:
        raise InvalidInput(
            f"output {context.folder.uri}",
            f"holds tasks that {context.job.scale.url} does not have for this key",
            "use the scale.url and a key of the account that created them, or another output",
        )


def open_existing_job(job: Job, stop: StopToken | None = None) -> ConnectedJob:
    """A job that has an output folder, opened without its manifest.

    Raises InvalidInput if the folder holds no job or another one, or if the API key is missing.

    >>> with closing(open_existing_job(load_job("street-boxes.yaml"))) as job:
    ...     collect_job(job)
    """
    stop = stop or StopToken()
    key = read_key(job)
    folder, source_type = open_output_folder(job)
    if source_type is None:
        raise InvalidInput(f"output {job.output}", "holds no job", "run label_dataset first")
    with usable_output(job):
        ledger = Ledger.load(folder, source_type)
    return ConnectedJob(job, folder, ledger, stop, open_client(job, key, stop.sleep))
