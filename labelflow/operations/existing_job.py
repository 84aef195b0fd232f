"""A job that was begun, opened without its manifest: its output folder, its ledger, and a client."""

from __future__ import annotations

from labelflow.concurrency.stop_token import StopToken
from labelflow.errors import StorageError, UsageError
from labelflow.jobs.api_keys import read_key
from labelflow.jobs.connection import open_client
from labelflow.jobs.job import Job
from labelflow.jobs.secrets import use_s3_credentials
from labelflow.ledger import job_record
from labelflow.ledger.ledger import Ledger
from labelflow.storage.folder import Folder
from labelflow.storage.opening import open_output


class ExistingJob:
    """What is there of a job. Raises UsageError where its output folder was never begun, or is another job's."""

    def __init__(self, job: Job, stop: StopToken | None = None) -> None:
        self.job = job
        self.stop = stop or StopToken()
        key = read_key(job)
        use_s3_credentials(job.s3.credentials)
        try:
            self.folder: Folder = open_output(job.output)
            source_type = job_record.read_source_schema(self.folder, job)
            if source_type is None:
                raise UsageError(f"output {job.output}", "holds no job", "run label_dataset first")
            self.source_type = source_type
            self.ledger = Ledger(self.folder, source_type)
        except StorageError as error:
            raise UsageError(f"output {job.output}", str(error), "correct the job's output") from None
        self.client = open_client(job, key, self.stop.sleep)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()
