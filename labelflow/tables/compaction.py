"""Merge small part files into large ones once a job is complete.

Readers must never see a row twice, and a crash must lose none. So the merged files are first staged below `_ledger/`,
which readers skip; then the small files are deleted; then the merged files are moved into place. The plan is recorded
in `_ledger/compaction.json` before the first deletion: after a crash, the next run finishes it.
"""

from __future__ import annotations

from typing import Any

import orjson

from labelflow.storage.folder import Folder
from labelflow.tables import external_sort
from labelflow.tables.external_sort import Order
from labelflow.tables.parts import part_name

PLAN, STAGE = "_ledger/compaction.json", "_ledger/compaction/"


def compact(folder: Folder, prefix: str, order: Order) -> None:
    """Merge the small files below a prefix into files of about 128 MiB, sorted by row number.

    order: returns the row numbers of tasks; see `external_sort.Order`.
    Raises StorageError if the folder or the local disk fails, and RunAborted if a file cannot be read.

    Example:
        compact(folder, "labels/", ledger.row_numbers)
    """
    files = [file for file in folder.list(prefix) if file.name.endswith(".parquet")]
    small = [file.name for file in files if file.size < external_sort.FILE_BYTES // 2]
    if len(small) < 2:
        return
    for leftover in folder.list(STAGE):  # left by a merge that ended before it wrote its plan
        folder.delete(leftover.name)
    merged_names: list[str] = []
    with external_sort.merge_sorted(folder, small, order) as merged:
        for file in merged:
            merged_names.append(part_name(prefix, file.digest))
            folder.write_file(_staged_name(merged_names[-1]), file.path)
    folder.write(PLAN, orjson.dumps({"remove": small, "place": merged_names}))
    finish_compaction(folder)


def finish_compaction(folder: Folder) -> None:
    """Execute the recorded plan, if there is one. Idempotent, and safe while another process does the same."""
    content = folder.read(PLAN)
    if content is None:
        return
    plan: dict[str, Any] = orjson.loads(content)
    for name in plan["remove"]:
        if name not in plan["place"]:
            folder.delete(name)
    for name in plan["place"]:
        folder.move(_staged_name(name), name)
    folder.delete(PLAN)


def _staged_name(name: str) -> str:
    return STAGE + name.replace("/", "-")
