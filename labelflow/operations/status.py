"""The status of a job, from the files in its output folder. Nothing is requested from the API."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from labelflow.accounting import summary
from labelflow.accounting.manifest_totals import ManifestTotals, read_totals
from labelflow.accounting.summary import Summary
from labelflow.accounting.tally import summarize
from labelflow.concurrency.lease import COLLECTORS, RUNS, read_abandoned, read_active
from labelflow.errors import InvalidInput
from labelflow.jobs.job import Job
from labelflow.ledger.job_record import read_source_schema
from labelflow.ledger.ledger import Ledger
from labelflow.outputs.outcomes import OutcomeIndex
from labelflow.storage.opening import open_output


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How a job stands, as far as its output folder tells.

    counts: in rows. Without a complete scan of the manifest (`is_scanned`) `rows` are those that have a task.
    tasks: all of the job, superseded ones included.
    age: time since a run or a pass has written the counts; None before the first one ends.
    active: the processes that create tasks or collect answers. interrupted: those that ended without recording all.
    next_step: what the user can do.
    """

    job: str
    output: str
    server: str
    mode: str
    counts: Summary
    is_scanned: bool
    tasks: int
    age: timedelta | None
    active: list[str]
    interrupted: list[str]
    next_step: str

    def as_json(self) -> dict[str, Any]:
        """Return the status with plain values: counts under their own names, the age in seconds."""
        own = {name: getattr(self, name) for name in ("job", "output", "server", "mode", "is_scanned", "tasks")}
        lists = {"active": self.active, "interrupted": self.interrupted, "next_step": self.next_step}
        counts = {name: value for name, value in asdict(self.counts).items() if name not in _OF_ONE_RUN}
        age = None if self.age is None else self.age.total_seconds()
        return {**own, **counts, "age": age, **lists}


_OF_ONE_RUN = ("job", "unparsed", "unmatched_callbacks", "created", "recovered", "seconds")


def read_status(job: Job) -> JobStatus:
    """Return the status of a job that has an output folder.

    Raises StorageError if the folder cannot be read, InvalidInput if it holds another job.

    >>> [read_status(found.require_job()).next_step for found in find_jobs("out", offline=True)]
    ['complete']
    """
    folder = open_output(job.output)
    source_type = read_source_schema(folder, job)
    if source_type is None:
        raise InvalidInput(f"output {job.output}", "holds no job", "run label_dataset first")
    ledger = Ledger.load(folder, source_type)
    totals = read_totals(folder, ledger)
    counts = summarize(job, totals or _unscanned(ledger), ledger, OutcomeIndex(folder))
    age = folder.age(summary.FILE)
    active = [
        f"{kind}: {record}"
        for kind, prefix in (("submitting", RUNS), ("collecting", COLLECTORS))
        for record in read_active(folder, prefix)
    ]
    interrupted = [str(record) for record in read_abandoned(folder, RUNS)]
    return JobStatus(
        job=job.name,
        output=folder.uri,
        server=job.scale.url,
        mode=job.scale.mode.value,
        counts=counts,
        is_scanned=totals is not None,
        tasks=ledger.tasks,
        age=None if age is None else timedelta(seconds=round(age)),
        active=active,
        interrupted=interrupted,
        next_step=_next_step(counts, active, interrupted, is_scanned=totals is not None),
    )


def _unscanned(ledger: Ledger) -> ManifestTotals:
    """Totals that count the rows with a task only."""
    return ManifestTotals(
        rows=len(ledger),
        rejected=0,
        over_cap=0,
        beyond_limit=0,
        outcome_unknown=0,
        changed=0,
        removed_rows=[],
        rows_with_task=len(ledger),
    )


def _next_step(counts: Summary, active: list[str], interrupted: list[str], *, is_scanned: bool) -> str:
    if active:
        return "wait: a process works on the job"
    if interrupted:
        return "label: run it again; it finds the tasks of the interrupted run"
    if not is_scanned:
        return "label: run it again; the last run did not reach the end of the manifest"
    if counts.pending > counts.not_submitted:
        return "collect: tasks are pending"
    if counts.not_submitted:
        return "label: rows have no task yet"
    if counts.unlabeled:
        return "complete; rejects/ and errors/ say why rows have no label"
    return "complete"
