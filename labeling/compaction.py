"""Make files large once a job is through, however many passes wrote them.

Readers must at no moment see a row twice, and a crash must lose none: the merged files are first staged out
of sight, then the small ones go, then the merged ones take their place. What was begun is finished by the
next run, from `_ledger/compaction.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pyarrow as pa

from labeling.storage import FileInfo, Folder
from labeling.tables import part_name, read_part, texts, to_parquet

PLAN, STAGE = "_ledger/compaction.json", "_ledger/compaction/"
FILE_BYTES = 128 << 20


def compact(folder: Folder, prefix: str, order: Callable[[str], int]) -> None:
    """Merge the parts below a prefix into files of about 128 MiB, each sorted.

    order: a task's place in the manifest.
    """
    small = [file for file in folder.list(prefix) if file.name.endswith(".parquet")]
    groups = [group for group in _groups(small) if len(group) > 1]
    if not groups:
        return
    staged = [_merge(folder, prefix, [file.name for file in group], order) for group in groups]
    plan = {"remove": [file.name for group in groups for file in group], "place": staged}
    folder.write(PLAN, orjson.dumps(plan))
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
        merged = folder.read(_staged(name))
        if merged is not None:
            folder.write(name, merged)
    folder.delete(PLAN)
    for name in plan["place"]:
        folder.delete(_staged(name))


def _groups(files: list[FileInfo]) -> Iterator[list[FileInfo]]:
    group: list[FileInfo] = []
    for file in files:
        if group and sum(member.size for member in group) + file.size > FILE_BYTES:
            yield group
            group = []
        group.append(file)
    if group:
        yield group


def _merge(folder: Folder, prefix: str, names: list[str], order: Callable[[str], int]) -> str:
    table = pa.concat_tables([read_part(folder, name) for name in names])
    rows: dict[str, int] = {}  # two runs at once may both have written a task: once is enough
    for row, task_id in enumerate(texts(table, "task_id")):
        rows.setdefault(task_id, row)
    merged = table.take(pa.array([rows[task_id] for task_id in sorted(rows, key=order)], pa.int64()))
    name = part_name(prefix, merged)
    folder.write(_staged(name), to_parquet(merged))
    return name


def _staged(name: str) -> str:
    return STAGE + name.replace("/", "-")
