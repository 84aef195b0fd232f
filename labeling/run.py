"""A run of a job: everything that its steps share, opened once. The flow calls the steps in order."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from labeling import compaction, ledger, rejecting
from labeling.attachments import AttachmentChecker
from labeling.binding import Binder
from labeling.checking import check_rows
from labeling.collecting import ERRORS, LABELS, Collector, Outcomes, load_outcomes
from labeling.config import read_key
from labeling.counts import Counts
from labeling.errors import Interrupted, StoreTrouble, Unusable
from labeling.job import Job
from labeling.ledger import Ledger
from labeling.manifests import Manifest, open_manifest
from labeling.stages import ManifestRow, Outcome, Rejected
from labeling.stopping import Stop
from labeling.storage import Folder, open_folder
from labeling.submitting import Allowance, Submitter, unrecorded_tasks
from labeling.summary import Summary
from scale.client import ScaleClient
from scale.errors import NotSent, ScaleError, Unauthorized
from scale.pace import Pace
from scale.problems import Problem
from scale.retry import RetryPolicy

CHUNK_ROWS = 1000
FIRST_LOOK = 0.2  # seconds until the first look at what came back; the pauses then double


class Chunk:
    """Rows of the manifest that have no task yet. Opaque on purpose: Prefect looks into lists, row by row."""

    __slots__ = ("rows",)

    def __init__(self, rows: list[ManifestRow]) -> None:
        self.rows = rows


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would do. Numbers of rows; `cost` in the unit of price_per_task, None without a price."""

    rows: int
    create: int
    reject: int
    skip: int  # they have a task already
    held_back: int  # the job's cap, or --limit, keeps them out
    cost: float | None
    rejected: list[Rejected]


class Run:
    """One run. Opening it reads the ledger and the head of the manifest, and sends nothing to Scale.

    Raises Unusable where the job cannot be run as it stands.
    """

    def __init__(self, job: Job, *, limit: int | None = None, stop: Stop | None = None) -> None:
        self.job = job
        self.stop = stop or Stop()
        self.counts = Counts()
        self._limit = limit
        self._created = self._adopted = self._not_submitted = self._unsettled = 0
        self.rejected: list[Rejected] = []
        self._seen: dict[str, int] = {}
        try:
            self._open()
        except StoreTrouble as error:
            raise Unusable(f"output {job.output}", str(error), "correct the job's output") from None

    def _open(self) -> None:
        job = self.job
        self.folder: Folder = open_folder(job.output)
        begun_with = ledger.recorded_source(self.folder, job)
        self._manifest: Manifest = open_manifest(job.manifest.uri)
        self._binder = Binder(job, self._manifest.schema, begun_with)
        self._is_new = begun_with is None
        compaction.finish_compaction(self.folder)
        self.ledger = Ledger(self.folder, self._binder.source_type)
        self._checker = AttachmentChecker(job.attachments.check, threads=job.submit.concurrency)
        self._submitter: Submitter | None = None
        self._collector: Collector | None = None

    def connect(self) -> None:
        """Reach the API with the job's key, and make the output folder this job's. No task is created yet."""
        job = self.job
        key = read_key(job)
        greet(job, key)
        pace = Pace(job.submit.rate, self.stop.pause)
        self._client = ScaleClient(
            key, job.scale.url, connections=job.submit.concurrency, pace=pace, pause=self.stop.pause
        )
        if self._is_new:
            ledger.begin(self.folder, job, self._binder.source_type)
        unrecorded = unrecorded_tasks(self._client, job, self.ledger)
        cap = job.submit.cap()
        allowance = Allowance(None if cap is None else max(0, cap - len(self.ledger)))
        parts = (job, self._binder, self._checker, self._client, self.ledger)
        self._submitter = Submitter(*parts, allowance, self.stop, unrecorded)
        source_type = self._binder.source_type
        self._collector = Collector(job, self._client, self.ledger, self.folder, source_type, self.stop)
        self.counts.add(labeled=self._collector.outcomes.labeled, answered=len(self._collector.outcomes))

    def chunks(self) -> Iterator[Chunk]:
        """The rows that have no task yet, in chunks. Reads the manifest to its end; repeated ids are rejected."""
        rows = self._new_rows()
        while chunk := list(islice(rows, CHUNK_ROWS)):
            yield Chunk(chunk)
        self.counts.add(total=self.counts.read)

    def _new_rows(self) -> Iterator[ManifestRow]:
        for row in self._manifest.rows:
            self.stop.check()
            self.counts.add(read=1)
            row_id, _ = self._binder.row_id(row)
            if row_id is not None:
                first = self._seen.setdefault(row_id, row.number)
                if first != row.number:
                    self._reject([_repeated(row, row_id, first, self.job.manifest.row_id)])
                    continue
                if row_id in self.ledger:
                    self.counts.add(submitted=1)
                    continue
            if self._limit is not None and row.number > self._limit:
                self._not_submitted += 1
                continue
            yield row

    def submit(self, chunk: Chunk) -> dict[str, int]:
        """Check the rows of a chunk and create their tasks. Returns what became of them, in numbers."""
        if self._submitter is None:
            raise RuntimeError("connect() comes before submit()")
        self.ledger.mark_open()
        report = self._submitter.submit(chunk.rows)
        self._reject(report.rejected)
        self._created += report.submitted - report.adopted
        self._adopted += report.adopted
        self._unsettled += report.unsettled
        self._not_submitted += report.held_back + report.unsettled
        self.counts.add(checked=report.read, submitted=report.submitted)
        return {
            "submitted": report.submitted,
            "rejected": len(report.rejected),
            "held back": report.held_back,
        }

    def finish_submission(self) -> None:
        """Publish the rejects of this run. Every task is recorded now, or the next run looks for it."""
        rejecting.publish(self.folder, self.rejected, self._manifest.schema)
        if self._submitter is not None and self._submitter.settled and not self._unsettled:
            self.ledger.mark_settled()

    def collect(self) -> int:
        """One look at what has come back. Returns the number of tasks that are new."""
        if self._collector is None:
            raise RuntimeError("connect() comes before collect()")
        before = self._collector.outcomes.labeled
        new = self._collector.collect()
        self.counts.add(answered=new, labeled=self._collector.outcomes.labeled - before)
        return new

    @property
    def waiting(self) -> int:
        """Tasks that have not come back yet."""
        outcomes = self._outcomes()
        return sum(task_id not in outcomes for _, task_id in self.ledger.rows())

    def pauses(self) -> Iterator[float]:
        """Pause between looks, longer each time, until the job's patience is over. Yields seconds waited."""
        longest = self.job.completion.every.total_seconds()
        deadline = time.monotonic() + self.job.completion.give_up_after.total_seconds()
        pause = min(FIRST_LOOK, longest)
        while time.monotonic() < deadline:
            self.stop.pause(pause)
            yield pause
            pause = min(longest, pause * 2)

    def finish(self) -> Summary:
        """Write the summary; once nothing is waited for, make the files large. Raises DoesNotAddUp."""
        if not self.waiting:
            compaction.compact(self.folder, LABELS, self.ledger.row_number)
            compaction.compact(self.folder, ERRORS, self.ledger.row_number)
        summary = self.summary()
        summary.write(self.folder)
        summary.check()
        return summary

    def summary(self) -> Summary:
        """How the job stands, counted from what was read, submitted and collected in this run and before."""
        outcomes = self._outcomes()
        tally = Counter(outcomes.of(task_id) for row_id, task_id in self.ledger.rows() if row_id in self._seen)
        price = self.job.submit.price_per_task
        tasks = len(self.ledger)
        return Summary(
            job=self.job.name,
            rows=self.counts.read,
            labeled=tally[Outcome.LABELED],
            rejected=len(self.rejected),
            error=tally[Outcome.ERROR],
            canceled=tally[Outcome.CANCELED],
            pending=tally[Outcome.PENDING] + self._not_submitted,
            not_submitted=self._not_submitted,
            gone=tasks - tally.total(),
            unexpected=self._collector.unexpected if self._collector else 0,
            created=self._created,
            adopted=self._adopted,
            cost=None if price is None else round(tasks * price, 2),
            seconds=dict(self.counts.seconds),
        )

    def preview(self) -> Preview:
        """What a run would do: reads and checks every row, and sends nothing to Scale."""
        create = 0
        for chunk in self.chunks():
            bound, rejected = check_rows(self._binder, self._checker, chunk.rows)
            self._reject(rejected)
            create += len(bound)
            self.counts.add(checked=len(chunk.rows))
        cap, price = self.job.submit.cap(), self.job.submit.price_per_task
        granted = create if cap is None else min(create, max(0, cap - len(self.ledger)))
        return Preview(
            rows=self.counts.read,
            create=granted,
            reject=len(self.rejected),
            skip=self.counts.submitted,
            held_back=self._not_submitted + create - granted,
            cost=None if price is None else round(granted * price, 2),
            rejected=self.rejected,
        )

    def close(self) -> None:
        """End threads and connections."""
        self._checker.close()
        if self._submitter is not None:
            self._submitter.close()
            self._client.close()

    def _outcomes(self) -> Outcomes:
        return self._collector.outcomes if self._collector else load_outcomes(self.folder)

    def _reject(self, rejected: list[Rejected]) -> None:
        self.rejected += rejected
        self.counts.add(rejected=len(rejected))


def greet(job: Job, key: str) -> None:
    """Ask the API for one task: tells at once whether it is there, and whether it takes the key."""
    patience = RetryPolicy(attempts=3)
    with ScaleClient(key, job.scale.url, connections=1, retry=patience) as client:
        try:
            next(client.list_pages(limit=1))
        except Unauthorized:
            raise Unusable("scale.key", f"{job.scale.url} does not take the key", "use a valid API key") from None
        except NotSent as error:
            raise Unusable("scale.url", error.message, "check the URL, and that the server is up") from None
        except ScaleError as error:
            raise Interrupted(f"{job.scale.url}: {error.message}") from None


def _repeated(row: ManifestRow, row_id: str, first: int, column: str) -> Rejected:
    problem = Problem(column, f"is the id of row {first} too", "give each row an id of its own")
    return Rejected(row, row_id, problem)
