"""What a job is about to do: its manifest and its output folder, opened and held against each other.

Nothing here talks to Scale. A dry run is a plan that is previewed; a run (`labeling.run`) carries one out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from labeling import ledger
from labeling.attachments import AttachmentChecker
from labeling.binding import Binder
from labeling.checking import check_rows
from labeling.counts import Counts
from labeling.errors import LimitReached, StoreTrouble, Unusable
from labeling.job import Job
from labeling.ledger import Ledger
from labeling.manifests import Manifest, open_manifest
from labeling.rejecting import REJECTS
from labeling.stages import BoundRow, ManifestRow, Rejected
from labeling.stopping import Stop
from labeling.storage import Folder, open_folder
from scale.problems import Problem

CHUNK_ROWS = 1000
ENOUGH_ROWS = 500  # rows seen before the share of rejected ones means anything


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


class Plan:
    """A job with its manifest and its ledger open. The manifest can be gone through once.

    limit: submit rows out of the first so many of the manifest only.
    rejected: the rows that were found to be wrong so far.
    Raises Unusable where the job cannot be run as it stands.
    """

    def __init__(self, job: Job, *, limit: int | None = None, stop: Stop | None = None) -> None:
        self.job = job
        self.stop = stop or Stop()
        self.counts = Counts()
        self.rejected: list[Rejected] = []
        self._limit = limit
        self._first: dict[str, int] = {}  # row_id → number of the first row that bears it
        try:
            self._open()
        except StoreTrouble as error:
            raise Unusable(f"output {job.output}", str(error), "correct the job's output") from None

    def _open(self) -> None:
        job = self.job
        try:
            self.folder: Folder = open_folder(job.output)
        except ValueError as error:
            reason, _, fix = str(error).partition("; ")
            raise Unusable(f"output {job.output}", reason, fix or "correct the job's output") from None
        begun_with = ledger.recorded_source(self.folder, job)
        self.is_new = begun_with is None
        self.manifest: Manifest = open_manifest(job.manifest.uri)
        self.binder = Binder(job, self.manifest.schema, begun_with)
        self.ledger = Ledger(self.folder, self.binder.source_type)
        self.checker = AttachmentChecker(job.attachments.check, threads=job.submit.concurrency)

    def __contains__(self, row_id: str) -> bool:
        """Whether the manifest, as far as it was gone through, has a row of that id."""
        return row_id in self._first

    def chunks(self) -> Iterator[Chunk]:
        """The rows that have no task yet, in chunks. Goes through the manifest to its end."""
        rows = self._new_rows()
        while chunk := list(islice(rows, CHUNK_ROWS)):
            yield Chunk(chunk)
        self.counts.add(total=self.counts.read)

    def check(self, chunk: Chunk) -> tuple[list[BoundRow], list[Rejected]]:
        """Bind a chunk's rows and look at their attachments: those that can be submitted, and the others."""
        bound, rejected = check_rows(self.binder, self.checker, chunk.rows)
        self.reject(rejected)
        self.counts.add(checked=len(chunk.rows))
        self.stop.check()
        return bound, rejected

    def refuse_too_many_rejects(self) -> None:
        """Raises LimitReached where, of enough rows seen, more are rejected than the job allows."""
        seen, rejected = self.counts.checked, self.counts.rejected
        if seen >= ENOUGH_ROWS and rejected > self.job.allowed_unlabeled(seen):
            raise LimitReached(
                f"{rejected:,} of the first {seen:,} rows are rejected, more than max_rejected allows: nothing more "
                f"was submitted. Look at {self.folder.uri}/{REJECTS}, mend the rows, or raise max_rejected."
            )

    def reject(self, rejected: Sequence[Rejected]) -> None:
        """Take note of rows that are wrong."""
        self.rejected.extend(rejected)
        self.counts.add(rejected=len(rejected))

    def allowance(self) -> int | None:
        """The tasks that may still be created under the job's cap, None where it has none."""
        cap = self.job.submit.cap()
        return None if cap is None else max(0, cap - len(self.ledger))

    def preview(self) -> Preview:
        """What a run would do: goes through every row and checks it, and sends nothing to Scale."""
        create = 0
        for chunk in self.chunks():
            bound, _ = self.check(chunk)
            create += len(bound)
        allowed, price = self.allowance(), self.job.submit.price_per_task
        granted = create if allowed is None else min(create, allowed)
        return Preview(
            rows=self.counts.read,
            create=granted,
            reject=len(self.rejected),
            skip=self.counts.submitted,
            held_back=self.counts.beyond_limit + create - granted,
            cost=None if price is None else round(granted * price, 2),
        )

    def close(self) -> None:
        """End threads and connections."""
        self.checker.close()

    def _new_rows(self) -> Iterator[ManifestRow]:
        for row in self.manifest.rows:
            self.stop.check()
            self.counts.add(read=1)
            row_id, _ = self.binder.row_id(row)
            knows_itself = row_id is not None and row.problem is None
            first = self._first.setdefault(row_id or "", row.number) if knows_itself else row.number
            if first != row.number:
                self.reject([self._repeated(row, row_id, first)])
                self.counts.add(checked=1)
            elif row_id is not None and row_id in self.ledger:
                self.counts.add(checked=1, submitted=1)
            elif self._limit is not None and row.number > self._limit:
                self.counts.add(checked=1, beyond_limit=1)
            else:
                yield row

    def _repeated(self, row: ManifestRow, row_id: str | None, first: int) -> Rejected:
        reason, fix = f"is the id of row {first} too", "give each row an id of its own"
        return Rejected(row, row_id, Problem(self.job.manifest.row_id, reason, fix))
