"""What a run is about to do: the manifest and the output folder of a job, opened and compared.

Nothing here talks to Scale. A dry run previews a plan; `labelflow.operations.label` executes one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelflow.accounting.manifest_totals import ManifestTotals, read_totals
from labelflow.accounting.progress import RunProgress
from labelflow.concurrency.stop_token import StopToken
from labelflow.errors import InvalidInput, TooManyUnlabeled
from labelflow.jobs.job import Job
from labelflow.ledger.context import JobContext, open_output_folder, usable_output
from labelflow.ledger.ledger import Ledger
from labelflow.manifests import Manifest
from labelflow.outputs.folders import REJECTS
from labelflow.outputs.outcomes import OutcomeIndex
from labelflow.outputs.rejects import check_replaceable
from labelflow.planning.chunk import Chunk, next_rows
from labelflow.planning.relabel.relabel_request import RelabelRequest
from labelflow.planning.relabel.relabeling import ChangeDetector, RelabelMode
from labelflow.planning.relabel.row_ids_file import read_row_ids
from labelflow.planning.requests.task_requests import TaskRequestBuilder
from labelflow.planning.row_selection import RowSelection
from labelflow.planning.row_validation import open_checker, validate_rows
from labelflow.planning.rows_without_new_task import RowsWithoutNewTask
from labelflow.planning.urls.restored_signatures import is_repair, open_job_manifest
from labelflow.planning.urls.url_lifetimes import UrlLifetimes
from labelflow.planning.urls.url_texts import UrlTexts
from labelflow.records import ManifestRow, PreparedRow, RejectedRow
from labelflow.tables.key_index import MISSING

MIN_ROWS_FOR_LIMIT = 500  # rows checked before the share of rejected ones is meaningful


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would do: numbers of rows. `cost` in the unit of price_per_task, None without a price."""

    rows: int
    create: int
    reject: int
    unchanged: int  # they have a task, and keep it
    over_cap: int  # the job's cap, or --limit, leaves them out
    cost: float | None


class Plan:
    """A job with its manifest and its ledger open. The manifest can be scanned once.

    limit: submit only rows among the first `limit` rows of the manifest.
    relabel: which rows that have a task get a new one; the others keep theirs.
    rows: for RelabelMode.ROWS, the file that lists their ids.
    is_scanned: whether the manifest was read to its end.
    adds_columns: whether `metadata` has columns that the output folder does not have yet.
    Raises InvalidInput if the job cannot be run as it is.

    >>> with closing(Plan(load_job("street-boxes.yaml"), limit=10)) as plan:
    ...     plan.preview()
    """

    def __init__(
        self,
        job: Job,
        *,
        limit: int | None = None,
        relabel: RelabelMode | None = None,
        rows: str | None = None,
        stop: StopToken | None = None,
    ) -> None:
        folder, recorded_types = open_output_folder(job)
        self.relabel = relabel
        self.is_new = recorded_types is None
        self.is_scanned = False
        self.progress = RunProgress()
        self.manifest: Manifest = open_job_manifest(job)
        check_replaceable(folder, job.manifest.uri)
        self.is_repair = is_repair(self.manifest)
        self.builder = TaskRequestBuilder(job, self.manifest.schema, recorded_types)
        self.adds_columns = not self.is_new and self.builder.source_type != recorded_types
        with usable_output(job):
            ledger = Ledger.load(folder, self.builder.source_type)
        self._totals_before = read_totals(folder, ledger) if self.is_repair else None
        self.context = JobContext(job, folder, ledger, stop or StopToken())
        self.unsubmitted = RowsWithoutNewTask(ledger, self.progress)
        self._relabeling = ChangeDetector(job.name, self.builder, ledger, relabel)
        self.request = self._open_request(rows)
        self.selection = RowSelection(self.builder, ledger, self._relabeling, self.unsubmitted, self.progress, limit)
        self._removed: list[str] = []
        self._removed_at: tuple[int, int, int] | None = None
        self._checker = open_checker(job)
        self._lifetimes = UrlLifetimes(job)
        self._url_texts = UrlTexts()

    def _open_request(self, rows: str | None) -> RelabelRequest | None:
        """The request to relabel the rows of a file. Raises InvalidInput if there is no file, or no mode for it."""
        if (self.relabel is RelabelMode.ROWS) is not (rows is not None):
            raise InvalidInput("--rows", "belongs to --relabel rows", "give both, or none of them")
        if rows is None:
            return None
        context = self.context
        row_ids = read_row_ids(rows, context.job.manifest.row_id)
        request = RelabelRequest.open(context.folder, context.ledger, rows, row_ids)
        self._relabeling.to_replace = request.tasks
        return request

    def chunks(self) -> Iterator[Chunk]:
        """The rows that get a task, in chunks. Scans the manifest to its end."""
        if self.relabel and self.relabel.needs_outcomes:
            self._relabeling.outcome_of = OutcomeIndex(self.context.folder).get
        selected = self._selected_rows()
        while rows := next_rows(selected):
            yield Chunk(rows)
        self.progress.add(total=self.progress.read)
        self.is_scanned = True

    def _selected_rows(self) -> Iterator[ManifestRow]:
        rows = iter(self.manifest.rows)
        while batch := next_rows(rows):
            self.context.stop.check()
            yield from self.selection.select(batch)

    def check(self, chunk: Chunk) -> tuple[list[PreparedRow], list[RejectedRow]]:
        """Build the requests of a chunk and check its attachments: the rows that can be submitted, and the others."""
        prepared, rejected = validate_rows(self.builder, self._checker, chunk.rows)
        self._lifetimes.check(prepared)
        self._url_texts.check(prepared)
        self.unsubmitted.reject(rejected)
        self.progress.add(checked=len(chunk.rows))
        self.context.stop.check()
        return self._relabeling.with_generations(prepared), rejected

    def check_reject_limit(self) -> None:
        """Raises TooManyUnlabeled if, of enough rows checked, more are rejected than the job allows."""
        checked, rejected = self.progress.checked, self.progress.rejected
        if checked >= MIN_ROWS_FOR_LIMIT and rejected > self.context.job.allowed_unlabeled(checked):
            raise TooManyUnlabeled(
                f"{rejected:,} of the first {checked:,} rows were rejected, above max_unlabeled; submission stopped. "
                f"See {self.context.folder.uri}/{REJECTS}, fix the rows, or raise the limit."
            )

    def discard_submitted(self) -> None:
        """Remove from `unsubmitted` the rows for which another run has recorded a task since."""
        self.unsubmitted.discard_submitted(self.selection.first_rows)

    def has_task(self, row_ids: Sequence[str]) -> NDArray[np.bool_]:
        """Whether each of some rows has a task: a boolean array of the same length."""
        return np.not_equal(self.context.ledger.positions(list(row_ids)), MISSING)

    def remaining_tasks(self) -> int | None:
        """The tasks that may still be created under the job's cap, None without a cap."""
        cap = self.context.job.submit.cap()
        return None if cap is None else max(0, cap - self.context.ledger.tasks)

    @property
    def remarks(self) -> list[str]:
        """What the check of the attachments has found that rejects no row, with numbers."""
        return [
            f"{text}: {number:,}"
            for number, text in (
                (self._checker.unmeasured, "recordings whose length could not be measured (attachments.unmeasured)"),
                (self._url_texts.only_urls, "rows whose text is only a URL, which annotators would see as text"),
                (self._url_texts.unsigned, "rows with an s3:// URI within a text, which annotators cannot open"),
                (self._lifetimes.ending_early, "rows with a signed URL that ends before their task may be opened"),
            )
            if number
        ]

    def preview(self) -> Preview:
        """What a run would do: scans and checks every row, sends nothing to Scale."""
        valid = 0
        for chunk in self.chunks():
            prepared, _ = self.check(chunk)
            valid += len(prepared)
        remaining, price = self.remaining_tasks(), self.context.job.submit.price_per_task
        create = valid if remaining is None else min(valid, remaining)
        return Preview(
            rows=self.progress.read,
            create=create,
            reject=len(self.unsubmitted.rejected),
            unchanged=self.progress.submitted,
            over_cap=self.progress.beyond_limit + valid - create,
            cost=None if price is None else round(create * price, 2),
        )

    def totals(self) -> ManifestTotals:
        """What the scan has found so far."""
        self.discard_submitted()
        unsubmitted = self.unsubmitted
        if self._totals_before and (repaired := self._repaired_totals(self._totals_before)):
            return repaired
        return ManifestTotals(
            rows=self.progress.read,
            rejected=len(unsubmitted.rejected),
            over_cap=len(unsubmitted.over_cap),
            beyond_limit=len(unsubmitted.beyond_limit),
            outcome_unknown=len(unsubmitted.outcome_unknown),
            changed=self.progress.changed,
            removed_rows=self._removed_rows(),
            rows_with_task=len(self.context.ledger),
        )

    def _repaired_totals(self, before: ManifestTotals) -> ManifestTotals | None:
        """The totals of the job's manifest after some of its rejected rows were repaired; None if others were sent."""
        repaired = len(self.context.ledger) - before.rows_with_task
        unknown = len(self.unsubmitted.outcome_unknown)
        if repaired + unknown > before.rejected:
            return None
        return before.model_copy(
            update={
                "rejected": before.rejected - repaired - unknown,
                "outcome_unknown": before.outcome_unknown + unknown,
                "rows_with_task": len(self.context.ledger),
            }
        )

    def close(self) -> None:
        """End threads and connections."""
        self._checker.close()

    def _removed_rows(self) -> list[str]:
        """Rows that have a task and are no longer in the manifest. Found again only if something has changed."""
        ledger = self.context.ledger
        state = self.progress.read, len(ledger), ledger.tasks
        if self._removed_at != state:
            missing = [self.selection.missing_rows(row_ids) for row_ids, _ in ledger.rows()]
            self._removed, self._removed_at = [row_id for row_ids in missing for row_id in row_ids], state
        return self._removed
