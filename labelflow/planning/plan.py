"""What a job is about to do: its manifest and its output folder, opened and held against each other.

Nothing here talks to Scale. A dry run is a plan that is previewed; `labelflow.operations.label` carries one out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from labelflow.accounting.progress import RunProgress
from labelflow.attachments import AttachmentChecker
from labelflow.concurrency.stop_token import StopToken
from labelflow.errors import LimitExceeded, StorageError, UsageError
from labelflow.jobs.job import Job
from labelflow.jobs.secrets import use_s3_credentials
from labelflow.ledger import job_record
from labelflow.ledger.ledger import Ledger
from labelflow.manifests import Manifest, open_manifest
from labelflow.outputs.folders import REJECTS
from labelflow.outputs.outcomes import OutcomeIndex
from labelflow.planning import chunk as chunks
from labelflow.planning.chunk import Chunk
from labelflow.planning.relabeling import Relabel, RelabelPolicy
from labelflow.planning.row_check import validate_rows
from labelflow.planning.task_requests import TaskRequestBuilder
from labelflow.problems import Problem
from labelflow.records import ManifestRow, Outcome, PreparedRow, RejectedRow
from labelflow.storage.folder import Folder
from labelflow.storage.opening import open_output
from labelflow.tables.key_index import MISSING, HashedKeys, KeyIndex, StringList

MAX_CHANGED_SAMPLES = 100  # rows: to name a few is all that is done with them
MIN_ROWS_FOR_LIMIT = 500  # rows seen before the share of rejected ones means anything


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would do. Numbers of rows; `cost` in the unit of price_per_task, None without a price."""

    rows: int
    create: int
    reject: int
    unchanged: int  # they have a task already, and are left alone
    over_cap: int  # the job's cap, or --limit, keeps them out
    cost: float | None


class Plan:
    """A job with its manifest and its ledger open. The manifest can be gone through once.

    limit: submit rows out of the first so many of the manifest only.
    relabel: which rows get a new task although they have one; the others are left alone.
    rejected: the rows that were found to be wrong so far.
    changed: some of the rows that have a task, ask something else by now, and are left alone; `progress` has how many.
    held_back, beyond_limit, unsettled: the ids of the rows that this run left without a task; see Counts.
    is_walked: whether the manifest was gone through to its end.
    unrecorded: the rows of which a task is known that is not in the ledger yet.
    Raises UsageError where the job cannot be run as it stands.
    """

    def __init__(
        self, job: Job, *, limit: int | None = None, relabel: Relabel | None = None, stop: StopToken | None = None
    ) -> None:
        self.job = job
        self.relabel = relabel
        self.stop = stop or StopToken()
        self.progress = RunProgress()
        self.rejected: list[RejectedRow] = []
        self.changed: list[RejectedRow] = []
        self.over_cap = StringList()
        self.beyond_limit = StringList()
        self.outcome_unknown = StringList()
        self.unrecorded: Collection[str] = ()
        self.is_scanned = False
        self._limit = limit
        self._first = KeyIndex()  # row_id → number of the first row that bears it
        try:
            self._open()
        except StorageError as error:
            raise UsageError(f"output {job.output}", str(error), "correct the job's output") from None

    def _open(self) -> None:
        job = self.job
        use_s3_credentials(job.s3.credentials)
        self.folder: Folder = open_output(job.output)
        begun_with = job_record.read_source_schema(self.folder, job)
        self.is_new = begun_with is None
        self.manifest: Manifest = open_manifest(job.manifest.uri)
        self.builder = TaskRequestBuilder(job, self.manifest.schema, begun_with)
        self.ledger = Ledger(self.folder, self.builder.source_type)
        self.relabeling = RelabelPolicy(job.name, self.builder, self.ledger, self.relabel)
        self.checker = AttachmentChecker(job.attachments.check, threads=job.submit.concurrency)

    def missing_rows(self, row_ids: Sequence[str]) -> list[str]:
        """Those of the rows that the manifest, as far as it was gone through, does not have."""
        seen = self._first.find(row_ids)
        return [row_id for row_id, row in zip(row_ids, seen, strict=True) if row == MISSING]

    def chunks(self) -> Iterator[Chunk]:
        """The rows that are to get a task, in chunks. Goes through the manifest to its end."""
        if self.relabel is Relabel.ERRORS:
            came_back = OutcomeIndex(self.folder)
            self.relabeling.has_failed = lambda task_id: came_back.get(task_id) is Outcome.ERROR
        rows = iter(self.manifest.rows)
        found: list[ManifestRow] = []
        while some := list(islice(rows, chunks.CHUNK_ROWS)):
            self.stop.check()
            found += self._to_submit(some)
            while len(found) >= chunks.CHUNK_ROWS:
                yield Chunk(found[: chunks.CHUNK_ROWS])
                del found[: chunks.CHUNK_ROWS]
        if found:
            yield Chunk(found)
        self.progress.add(total=self.progress.read)
        self.is_scanned = True

    def check(self, chunk: Chunk) -> tuple[list[PreparedRow], list[RejectedRow]]:
        """Bind a chunk's rows and look at their attachments: those that can be submitted, and the others."""
        bound, rejected = validate_rows(self.builder, self.checker, chunk.rows)
        self.reject(rejected)
        self.progress.add(checked=len(chunk.rows))
        self.stop.check()
        return self.relabeling.with_generations(bound), rejected

    def refuse_too_many_rejects(self) -> None:
        """Raises LimitExceeded where, of enough rows seen, more are rejected than the job allows."""
        seen, rejected = self.progress.checked, self.progress.rejected
        if seen >= MIN_ROWS_FOR_LIMIT and rejected > self.job.allowed_unlabeled(seen):
            raise LimitExceeded(
                f"{rejected:,} of the first {seen:,} rows are rejected, more than max_unlabeled allows: nothing more "
                f"was submitted. Look at {self.folder.uri}/{REJECTS}, mend the rows, or raise max_unlabeled."
            )

    def reject(self, rejected: Sequence[RejectedRow]) -> None:
        """Take note of rows that get no task; those that have one from before keep it."""
        places = self.ledger.positions([reject.row_id or "" for reject in rejected])
        self._record_changed([reject for reject, place in zip(rejected, places, strict=True) if place != MISSING])
        self._reject([reject for reject, place in zip(rejected, places, strict=True) if place == MISSING])

    def record_unsubmitted(self, over_cap: Sequence[str], outcome_unknown: Sequence[str]) -> None:
        """Take note of rows that were left without a task."""
        self.over_cap.add(over_cap)
        self.outcome_unknown.add(outcome_unknown)
        self.progress.add(over_cap=len(over_cap), outcome_unknown=len(outcome_unknown))

    def discard_submitted(self) -> None:
        """Forget of rows that they were left without a task, where another run has recorded one since."""
        row_ids = [reject.row_id or "" for reject in self.rejected]
        is_first = self._first.find(row_ids) == np.array([reject.row.number for reject in self.rejected], np.int64)
        dropped = is_first & (self.ledger.positions(row_ids) != MISSING)
        self.rejected = [reject for reject, drop in zip(self.rejected, dropped, strict=True) if not drop]
        for rows in (self.over_cap, self.beyond_limit, self.outcome_unknown):
            rows.keep(lambda row_ids: self.ledger.positions(row_ids) == MISSING)

    def remaining_tasks(self) -> int | None:
        """The tasks that may still be created under the job's cap, None where it has none."""
        cap = self.job.submit.cap()
        return None if cap is None else max(0, cap - self.ledger.tasks)

    def preview(self) -> Preview:
        """What a run would do: goes through every row and checks it, and sends nothing to Scale."""
        create = 0
        for chunk in self.chunks():
            bound, _ = self.check(chunk)
            create += len(bound)
        allowed, price = self.remaining_tasks(), self.job.submit.price_per_task
        granted = create if allowed is None else min(create, allowed)
        return Preview(
            rows=self.progress.read,
            create=granted,
            reject=len(self.rejected),
            unchanged=self.progress.submitted,
            over_cap=self.progress.beyond_limit + create - granted,
            cost=None if price is None else round(granted * price, 2),
        )

    def close(self) -> None:
        """End threads and connections."""
        self.checker.close()

    def _to_submit(self, rows: Sequence[ManifestRow]) -> list[ManifestRow]:
        """Those of the rows that are to get a task; takes note of the others."""
        row_ids = [self.builder.row_id(row)[0] or "" for row in rows]  # an empty one is none
        keys = HashedKeys.of(row_ids)
        firsts = self._first_occurrences(rows, row_ids, keys)
        places = self.ledger.positions(keys)
        inputs = iter(self.ledger.input_digests(places[places != MISSING]).tolist())
        known = [next(inputs) if place != MISSING else None for place in places]
        wanted: list[ManifestRow] = []
        beyond: list[str] = []
        unchanged = 0
        for row, row_id, first, of_task in zip(rows, row_ids, firsts, known, strict=True):
            is_beyond = self._limit is not None and row.number > self._limit
            if first != row.number:
                self._reject([self._duplicate_row(row, row_id, first)])
            elif of_task is not None:
                trouble = self.relabeling.detect_change(row, row_id, of_task)
                if not is_beyond and self._should_relabel(row_id, trouble):
                    wanted.append(row)
                elif trouble is None:
                    unchanged += 1
                else:
                    self._record_changed([trouble])
            elif is_beyond:
                beyond.append(row_id)
            else:
                wanted.append(row)
        self.beyond_limit.add(beyond)
        self.progress.add(
            read=len(rows), checked=len(rows) - len(wanted), submitted=unchanged, beyond_limit=len(beyond)
        )
        return wanted

    def _first_occurrences(self, rows: Sequence[ManifestRow], row_ids: Sequence[str], keys: HashedKeys) -> list[int]:
        """The number of the first row that bears each row's id; its own where it has none, or is not to be read."""
        bearers = [index for index, row in enumerate(rows) if row_ids[index] and row.problem is None]
        keys = keys[bearers]
        seen = self._first.find(keys).tolist()
        first: dict[str, int] = {}
        numbers = [row.number for row in rows]
        for index, before in zip(bearers, seen, strict=True):
            numbers[index] = first.setdefault(row_ids[index], before if before != MISSING else numbers[index])
        self._first.add(keys, np.array([numbers[index] for index in bearers], np.int64))
        return numbers

    def _should_relabel(self, row_id: str, trouble: RejectedRow | None) -> bool:
        """Whether a row that has a task is to get another one, or to meet one that is not recorded yet."""
        return row_id in self.unrecorded or self.relabeling.should_relabel(row_id, trouble)

    def _record_changed(self, rows: Sequence[RejectedRow]) -> None:
        self.changed.extend(rows[: max(0, MAX_CHANGED_SAMPLES - len(self.changed))])
        self.progress.add(changed=len(rows), submitted=len(rows))

    def _reject(self, rejected: Sequence[RejectedRow]) -> None:
        self.rejected.extend(rejected)
        self.progress.add(rejected=len(rejected))

    def _duplicate_row(self, row: ManifestRow, row_id: str, first: int) -> RejectedRow:
        reason, fix = f"is the id of row {first} too", "give each row an id of its own"
        return RejectedRow(row, row_id, Problem(self.job.manifest.row_id, reason, fix))
