"""What a job is about to do: its manifest and its output folder, opened and held against each other.

Nothing here talks to Scale. A dry run is a plan that is previewed; a run (`labeling.run`) carries one out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
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
from labeling.outcomes import Outcomes
from labeling.rejecting import REJECTS
from labeling.revisiting import Relabel, Revisitor
from labeling.stages import BoundRow, ManifestRow, Outcome, Rejected
from labeling.stopping import Stop
from labeling.storage import Folder, open_output
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
    skip: int  # they have a task already, and are left alone
    held_back: int  # the job's cap, or --limit, keeps them out
    cost: float | None


class Plan:
    """A job with its manifest and its ledger open. The manifest can be gone through once.

    limit: submit rows out of the first so many of the manifest only.
    relabel: which rows get a new task although they have one; the others are left alone.
    rejected: the rows that were found to be wrong so far.
    changed: the rows that have a task, ask something else by now, and are left alone.
    held_back, beyond_limit, unsettled: the ids of the rows that this run left without a task; see Counts.
    is_walked: whether the manifest was gone through to its end.
    unrecorded: the rows of which a task is known that is not in the ledger yet.
    Raises Unusable where the job cannot be run as it stands.
    """

    def __init__(
        self, job: Job, *, limit: int | None = None, relabel: Relabel | None = None, stop: Stop | None = None
    ) -> None:
        self.job = job
        self.relabel = relabel
        self.stop = stop or Stop()
        self.counts = Counts()
        self.rejected: list[Rejected] = []
        self.changed: list[Rejected] = []
        self.held_back: list[str] = []
        self.beyond_limit: list[str] = []
        self.unsettled: list[str] = []
        self.unrecorded: Collection[str] = ()
        self.is_walked = False
        self._limit = limit
        self._first: dict[str, int] = {}  # row_id → number of the first row that bears it
        try:
            self._open()
        except StoreTrouble as error:
            raise Unusable(f"output {job.output}", str(error), "correct the job's output") from None

    def _open(self) -> None:
        job = self.job
        self.folder: Folder = open_output(job.output)
        begun_with = ledger.recorded_source(self.folder, job)
        self.is_new = begun_with is None
        self.manifest: Manifest = open_manifest(job.manifest.uri)
        self.binder = Binder(job, self.manifest.schema, begun_with)
        self.ledger = Ledger(self.folder, self.binder.source_type)
        self.revisitor = Revisitor(job.name, self.binder, self.ledger, self.relabel)
        self.checker = AttachmentChecker(job.attachments.check, threads=job.submit.concurrency)

    def __contains__(self, row_id: str) -> bool:
        """Whether the manifest, as far as it was gone through, has a row of that id."""
        return row_id in self._first

    def chunks(self) -> Iterator[Chunk]:
        """The rows that are to get a task, in chunks. Goes through the manifest to its end."""
        if self.relabel is Relabel.ERRORS:
            came_back = Outcomes(self.folder)
            self.revisitor.failed = {task_id for task_id, outcome in came_back.items() if outcome is Outcome.ERROR}
        rows = self._rows_to_submit()
        while chunk := list(islice(rows, CHUNK_ROWS)):
            yield Chunk(chunk)
        self.counts.add(total=self.counts.read)
        self.is_walked = True

    def check(self, chunk: Chunk) -> tuple[list[BoundRow], list[Rejected]]:
        """Bind a chunk's rows and look at their attachments: those that can be submitted, and the others."""
        bound, rejected = check_rows(self.binder, self.checker, chunk.rows)
        self.turn_down(rejected)
        self.counts.add(checked=len(chunk.rows))
        self.stop.check()
        return [self.revisitor.numbered(row) for row in bound], rejected

    def refuse_too_many_rejects(self) -> None:
        """Raises LimitReached where, of enough rows seen, more are rejected than the job allows."""
        seen, rejected = self.counts.checked, self.counts.rejected
        if seen >= ENOUGH_ROWS and rejected > self.job.allowed_unlabeled(seen):
            raise LimitReached(
                f"{rejected:,} of the first {seen:,} rows are rejected, more than max_rejected allows: nothing more "
                f"was submitted. Look at {self.folder.uri}/{REJECTS}, mend the rows, or raise max_rejected."
            )

    def turn_down(self, rejected: Sequence[Rejected]) -> None:
        """Take note of rows that get no task; those that have one from before keep it."""
        self._leave_alone([reject for reject in rejected if (reject.row_id or "") in self.ledger])
        self._reject([reject for reject in rejected if (reject.row_id or "") not in self.ledger])

    def leave(self, held_back: Sequence[str], unsettled: Sequence[str]) -> None:
        """Take note of rows that were left without a task."""
        self.held_back.extend(held_back)
        self.unsettled.extend(unsettled)
        self.counts.add(held_back=len(held_back), unsettled=len(unsettled))

    def drop_recorded(self) -> None:
        """Forget of rows that they were left without a task, where another run has recorded one since."""
        self.rejected = [reject for reject in self.rejected if not self._has_task(reject)]
        for rows in (self.held_back, self.beyond_limit, self.unsettled):
            rows[:] = [row_id for row_id in rows if row_id not in self.ledger]

    def _has_task(self, reject: Rejected) -> bool:
        row_id = reject.row_id or ""
        return row_id in self.ledger and self._first.get(row_id) == reject.row.number

    def allowance(self) -> int | None:
        """The tasks that may still be created under the job's cap, None where it has none."""
        cap = self.job.submit.cap()
        return None if cap is None else max(0, cap - self.ledger.tasks)

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

    def _rows_to_submit(self) -> Iterator[ManifestRow]:
        for row in self.manifest.rows:
            self.stop.check()
            self.counts.add(read=1)
            row_id, _ = self.binder.row_id(row)
            knows_itself = row_id is not None and row.problem is None
            first = self._first.setdefault(row_id or "", row.number) if knows_itself else row.number
            if first != row.number:
                self._reject([self._repeated(row, row_id, first)])
                self.counts.add(checked=1)
            elif row_id is not None and row_id in self.ledger and not self._is_wanted_again(row, row_id):
                self.counts.add(checked=1)
            elif self._limit is not None and row.number > self._limit:
                self.beyond_limit.append(row_id or "")
                self.counts.add(checked=1, beyond_limit=1)
            else:
                yield row

    def _is_wanted_again(self, row: ManifestRow, row_id: str) -> bool:
        """Whether a row that has a task is to get another one, or to meet one that is not recorded yet."""
        trouble = self.revisitor.trouble(row, row_id)
        beyond = self._limit is not None and row.number > self._limit
        if not beyond and (row_id in self.unrecorded or self.revisitor.asks_anew(row_id, trouble)):
            return True
        if trouble is None:
            self.counts.add(submitted=1)
        else:
            self._leave_alone([trouble])
        return False

    def _leave_alone(self, rows: Sequence[Rejected]) -> None:
        self.changed.extend(rows)
        self.counts.add(changed=len(rows), submitted=len(rows))

    def _reject(self, rejected: Sequence[Rejected]) -> None:
        self.rejected.extend(rejected)
        self.counts.add(rejected=len(rejected))

    def _repeated(self, row: ManifestRow, row_id: str | None, first: int) -> Rejected:
        reason, fix = f"is the id of row {first} too", "give each row an id of its own"
        return Rejected(row, row_id, Problem(self.job.manifest.row_id, reason, fix))
