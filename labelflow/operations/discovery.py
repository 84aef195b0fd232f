"""Find jobs by their output folders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from labelflow.errors import LabelflowError, UsageError
from labelflow.jobs.config import with_environment
from labelflow.jobs.job import Job
from labelflow.ledger import job_record
from labelflow.storage.opening import open_output

MAX_DEPTH = 5  # levels of folders below the one in which jobs are looked for
MAX_FOLDERS = 2000  # that hold no job


@dataclass(frozen=True, slots=True)
class DiscoveredJob:
    """An output folder in which a job was begun, or one that cannot be looked into: then `detect_change` says why."""

    output: str
    job: Job | None = None
    error: LabelflowError | None = None

    @property
    def name(self) -> str:
        """The job's name and its folder, or what is known of them."""
        return f"{self.job.name} ({self.output})" if self.job else self.output

    def require_job(self) -> Job:
        """The job. Raises why it cannot be told."""
        if self.job is None:
            raise self.error or UsageError(f"output {self.output}", "holds no job", "run label_dataset first")
        return self.job


def find_jobs(uri: str) -> Iterator[DiscoveredJob]:
    """The jobs that were begun in a folder, or below it; none where there is none. One in trouble hides no other.

    Folders are looked into level by level, with two requests each in S3, down to DEEPEST levels; what lies in the
    output of a job is not looked into.
    """
    level, others = [uri], 0
    for _ in range(MAX_DEPTH + 1):
        below: list[str] = []
        for each in level:
            found = _inspect(each)
            if isinstance(found, DiscoveredJob):
                yield found
                continue
            below += found
            others += 1
            if others > MAX_FOLDERS:
                fix = "name folders that are nearer to the jobs"
                trouble = UsageError(f"output {uri}", f"more than {MAX_FOLDERS:,} folders lie below it", fix)
                yield DiscoveredJob(uri, error=trouble)
                return
        level = below


def find_single_job(uri: str) -> Job:
    """The one job that was begun in a folder. Raises UsageError where there is none, or more than one."""
    found = list(find_jobs(uri))
    if len(found) != 1:
        raise UsageError(f"output {uri}", f"holds {len(found)} jobs", "name the output folder of one job")
    return found[0].require_job()


def _inspect(uri: str) -> DiscoveredJob | list[str]:
    """The job of a folder, or the folders right below it."""
    try:
        folder = open_output(uri)
        job = job_record.load_config(folder)
        if job is None:
            return [f"{folder.uri.rstrip('/')}/{name}" for name in folder.subfolders()]
    except LabelflowError as error:
        return DiscoveredJob(uri, error=error)
    # As it was kept there, but that the folder may have been moved since.
    return DiscoveredJob(folder.uri, with_environment(job.model_copy(update={"output": folder.uri})))
