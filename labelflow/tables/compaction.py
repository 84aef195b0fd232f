"""Merge small part files into large ones once a job is complete.

Readers must never see a row twice, and a crash must lose none. So the merged files are first staged below `_ledger/`,
which readers skip; then the small files are deleted; then the merged files are moved into place. The plan is recorded
in `_ledger/compaction.json` before the first deletion: after a crash, the next run finishes it.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from labelflow.errors import RunAborted
from labelflow.storage.folder import Folder
from labelflow.tables import external_sort
from labelflow.tables.external_sort import Order
from labelflow.tables.part_files import part_name

PLAN, STAGE = "_ledger/compaction.json", "_ledger/compaction/"


_Part = Annotated[str, Field(pattern=r"^(labels|errors)/[^/]+\.parquet$")]


class _Plan(BaseModel):
    """Names of files: the small ones, and the merged ones. Others are never deleted, whoever has written the plan."""

    remove: list[_Part]
    place: list[_Part]


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
    folder.write(PLAN, _Plan(remove=small, place=merged_names).model_dump_json().encode())
    finish_compaction(folder)


def finish_compaction(folder: Folder) -> None:
    """Execute the recorded plan, if there is one. Idempotent, and safe while another process does the same.

    Raises RunAborted if it is corrupt, or names other files than those of labels/ and errors/.
    """
    content = folder.read(PLAN)
    if content is None:
        return
    try:
        plan = _Plan.model_validate_json(content)
    except ValidationError:
        raise RunAborted(f"{folder.uri}/{PLAN} is not a plan of labelflow; restore it from a backup") from None
    for name in plan.remove:
        if name not in plan.place:
            folder.delete(name)
    for name in plan.place:
        folder.move(_staged_name(name), name)
    folder.delete(PLAN)


def _staged_name(name: str) -> str:
    return STAGE + name.replace("/", "-")
