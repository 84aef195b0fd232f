"""Make files large once a job is through, however many passes wrote them.

Readers must at no moment see a row twice, and a crash must lose none: the merged files are first staged out
of sight, then the small ones go, then the merged ones take their place. What was begun is finished by the
next run, from `_ledger/compaction.json`.
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
    """Merge the small files below a prefix into files of about 128 MiB, sorted.

    order: the places of tasks in the manifest.
    """
    files = [file for file in folder.list(prefix) if file.name.endswith(".parquet")]
    small = [file.name for file in files if file.size < external_sort.FILE_BYTES // 2]
    if len(small) < 2:
        return
    for file in folder.list(STAGE):  # of a merge that broke off before its plan was written
        folder.delete(file.name)
    placed: list[str] = []
    with external_sort.merge_sorted(folder, small, order) as merged:
        for large in merged:
            placed.append(part_name(prefix, large.digest))
            folder.write_file(_staged(placed[-1]), large.path)
    folder.write(PLAN, orjson.dumps({"remove": small, "place": placed}))
    finish_compaction(folder)


def finish_compaction(folder: Folder) -> None:
    """Carry out a plan that was written down, if there is one; safe to repeat."""
    content = folder.read(PLAN)
    if content is None:
        return
    plan: dict[str, Any] = orjson.loads(content)
    for name in plan["remove"]:
        if name not in plan["place"]:
            folder.delete(name)
    for name in plan["place"]:
        folder.move(_staged(name), name)
    folder.delete(PLAN)


def _staged(name: str) -> str:
    return STAGE + name.replace("/", "-")
