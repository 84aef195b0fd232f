"""Find jobs by their output folders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from labelflow.errors import InvalidInput, LabelflowError
from labelflow.jobs.config import with_environment
from labelflow.jobs.job import Job
from labelflow.ledger import job_record
from labelflow.operations.trust import check_trusted
from labelflow.storage.opening import open_output

MAX_DEPTH = 5  # levels of folders that are searched below the given one
MAX_FOLDERS = 2000  # folders without a job that are searched


@dataclass(frozen=True, slots=True)
class DiscoveredJob:
    """An output folder with a job, or one that cannot be read: then `error` has the reason and `job` is None."""

    output: str
    job: Job | None = None
    error: LabelflowError | None = None

    @property
    def name(self) -> str:
        """The job's name and folder, or only the folder if the job cannot be read."""
        return f"{self.job.name} ({self.output})" if self.job else self.output

    def require_job(self) -> Job:
        """Return the job. Raises `error`, or InvalidInput without one, if there is no job."""
        if self.job is None:
            raise self.error or InvalidInput(f"output {self.output}", "holds no job", "run label_dataset first")
        return self.job


def find_jobs(uri: str, *, offline: bool = False) -> Iterator[DiscoveredJob]:
    """Yield the jobs whose output is this folder or one below it. A job that cannot be read, or whose settings are not
    trusted, does not stop the search.

    offline: nothing will be sent to the API, so that the settings need not be trusted.

    Folders are searched level by level, down to MAX_DEPTH levels, with two requests per folder in S3. The folders
    inside a job's output are not searched. After MAX_FOLDERS folders without a job, the last result has an error.

        names = [found.name for found in find_jobs("s3://bucket/outputs")]
    """
    level, without_job = [uri], 0
    for _ in range(MAX_DEPTH + 1):
        below: list[str] = []
        for folder in level:
            result = _inspect(folder, offline)
            if isinstance(result, DiscoveredJob):
                yield result
                continue
            below += result
            without_job += 1
            if without_job > MAX_FOLDERS:
                fix = "name folders that are closer to the jobs"
                error = InvalidInput(f"output {uri}", f"has more than {MAX_FOLDERS:,} folders without a job", fix)
                yield DiscoveredJob(uri, error=error)
                return
        level = below


def find_single_job(uri: str, *, offline: bool = False) -> Job:
    """Return the only job in a folder or below it. Raises InvalidInput if there is none or more than one.

    offline: as in `find_jobs`.
    """
    jobs = list(find_jobs(uri, offline=offline))
    if len(jobs) != 1:
        raise InvalidInput(f"output {uri}", f"holds {len(jobs)} jobs", "name the output folder of one job")
    return jobs[0].require_job()


def _inspect(uri: str, offline: bool) -> DiscoveredJob | list[str]:
    """Return the job of a folder, or the URIs of its direct subfolders."""
    try:
        folder = open_output(uri)
        job = job_record.load_config(folder)
        if job is None:
            return [f"{folder.uri.rstrip('/')}/{name}" for name in folder.subfolders()]
        # The folder may have been moved since the job's configuration was saved.
        job = with_environment(job.model_copy(update={"output": folder.uri}))
        if not offline:
            check_trusted(job, f"{folder.uri}/{job_record.CONFIG}")
    except LabelflowError as error:
        return DiscoveredJob(uri, error=error)
    return DiscoveredJob(folder.uri, job)
