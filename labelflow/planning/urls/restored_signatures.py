"""The manifest of a run. A rejects file gets back the signatures of its URLs, from the manifest that it comes from."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from labelflow.batches import next_batch
from labelflow.errors import LabelflowError
from labelflow.jobs.job import Job
from labelflow.manifests import Manifest, open_manifest
from labelflow.outputs.rejects import REJECT_FIELDS, rejected_origin, removed_signatures
from labelflow.problems import Problem
from labelflow.records import ManifestRow
from labelflow.redaction import strip_signatures_in
from labelflow.tables.storable_types import is_lossless

_OWN_COLUMNS = {*REJECT_FIELDS.names} - {"reject_digest"}  # without it, a repaired row counts as changed later
BATCH_ROWS, BATCH_BYTES = 5000, 8 << 20  # of the rejects file; their rows of the first manifest are in memory, too


def open_job_manifest(job: Job) -> Manifest:
    """Open the manifest of a job. The rows of a rejects file have the signatures that they had when they were rejected.

    A row whose signature cannot be found gets a problem. Raises InvalidInput as `open_manifest` does.
    """
    manifest = open_manifest(job.manifest.uri)
    if not is_repair(manifest):
        return manifest
    return replace(manifest, rows=_restore_signatures(manifest.rows, _FirstManifest(job)))


def is_repair(manifest: Manifest) -> bool:
    """Whether a manifest is a rejects file, so that its rows are rows of another manifest."""
    return set(manifest.schema.names) >= _OWN_COLUMNS


class _FirstManifest:
    """The manifest that the rows of a rejects file come from. It is read forward, and from its start if necessary."""

    def __init__(self, job: Job) -> None:
        self.uri = job.manifest.rejects_of
        self.row_id = job.manifest.row_id
        self.error = "" if self.uri else "manifest.rejects_of does not say where it is"
        self._rows: Iterator[ManifestRow] = iter(())
        self._next = 0  # the number of the next row; 0 before the manifest is opened

    def read(self, numbers: Collection[int]) -> dict[int, ManifestRow]:
        """Return rows by their numbers; missing ones are left out. `error` says why no more can be read."""
        found: dict[int, ManifestRow] = {}
        if not numbers or self.error or not self.uri:
            return found
        try:
            if not 0 < self._next <= min(numbers):
                self._rows, self._next = open_manifest(self.uri).rows, 1
            while self._next <= max(numbers) and (row := next(self._rows, None)):
                self._next = row.number + 1
                if row.number in numbers:
                    found[row.number] = row
        except LabelflowError as error:
            self.error = str(error)
        return found


def _restore_signatures(rows: Iterator[ManifestRow], first: _FirstManifest) -> Iterator[ManifestRow]:
    while batch := next_batch(rows, lambda row: row.size, BATCH_ROWS, BATCH_BYTES):
        originals = first.read({removed.row for row in batch if (removed := removed_signatures(row.values))})
        for row in batch:
            yield replace(_restore(row, originals, first), origin=rejected_origin(row.values))


def _restore(row: ManifestRow, originals: dict[int, ManifestRow], first: _FirstManifest) -> ManifestRow:
    """Return a row with its signatures. A value that was edited since is kept as it is."""
    removed = removed_signatures(row.values)
    if removed is None or row.problem:
        return row
    original = originals.get(removed.row)
    values = dict(row.values)
    for column in removed.columns:
        value = values.get(column)
        if column == first.row_id or strip_signatures_in(value) != value:  # an id has none, or it was signed again
            continue
        signed = original.values.get(column) if original else None
        if signed is not None and is_lossless(strip_signatures_in(signed), value):
            values[column] = signed
        elif not original or not _is_same_row(original, values, first.row_id):
            return replace(row, problem=_not_found(column, removed.row, first))
    return replace(row, values=values)


def _is_same_row(original: ManifestRow, values: dict[str, Any], row_id: str) -> bool:
    found = strip_signatures_in(original.values.get(row_id))
    return found in (values.get(row_id), values.get("reject_row_id")) or str(found) == values.get("reject_row_id")


def _not_found(column: str, number: int, first: _FirstManifest) -> Problem:
    reason = first.error or f"row {number} of {first.uri} is not this row"
    fix = "write a signed URL, or set manifest.rejects_of to the manifest that has it; else empty reject_signed"
    return Problem(column, f"had a signature that is not in the rejects file, and {reason}", fix)
