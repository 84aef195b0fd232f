"""A job that was begun, opened without its manifest: its output folder, its ledger, and a client."""

from __future__ import annotations

from collections.abc import Iterator

from labeling import ledger
from labeling.config import read_key, with_environment
from labeling.errors import StoreTrouble, Unusable
from labeling.job import Job
from labeling.ledger import Ledger
from labeling.redaction import without_signature
from labeling.stopping import Stop
from labeling.storage import Folder, open_output
from scale.client import CONNECT_TIMEOUT, ScaleClient


class BegunJob:
    """What is there of a job. Raises Unusable where its output folder was never begun, or is another job's."""

    def __init__(self, job: Job, stop: Stop | None = None) -> None:
        self.job = job
        self.stop = stop or Stop()
        key = read_key(job)
        try:
            self.folder: Folder = open_output(job.output)
            source_type = ledger.recorded_source(self.folder, job)
            if source_type is None:
                raise Unusable(f"output {job.output}", "holds no job", "run label_dataset first")
            self.source_type = source_type
            self.ledger = Ledger(self.folder, source_type)
        except StoreTrouble as error:
            raise Unusable(f"output {job.output}", str(error), "correct the job's output") from None
        self.client = ScaleClient(
            key,
            job.scale.url,
            connections=job.submit.concurrency,
            timeout=(CONNECT_TIMEOUT, job.scale.timeout.total_seconds()),
            pause=self.stop.pause,
            clean=without_signature,
        )

    def close(self) -> None:
        """Close the connections."""
        self.client.close()


def find_jobs(uri: str) -> Iterator[Job]:
    """The jobs that were begun in a folder, or in those right below it; none where there is none."""
    folder = open_output(uri)
    job = _job_in(folder)
    if job is not None:
        yield job
        return
    for name in folder.subfolders():
        if job := _job_in(open_output(f"{folder.uri}/{name}")):
            yield job


def the_job_in(uri: str) -> Job:
    """The one job that was begun in a folder. Raises Unusable where there is none, or more than one."""
    jobs = list(find_jobs(uri))
    if len(jobs) != 1:
        raise Unusable(f"output {uri}", f"holds {len(jobs)} jobs", "name the output folder of one job")
    return jobs[0]


def _job_in(folder: Folder) -> Job | None:
    """The job of a folder, as it was kept there; the folder may have been moved since."""
    job = ledger.kept_config(folder)
    return with_environment(job.model_copy(update={"output": folder.uri})) if job else None
