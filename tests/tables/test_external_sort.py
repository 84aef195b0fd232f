"""Merged files: in manifest order, no duplicate tasks, split by size, with Bloom filters of row ids."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelflow.errors import StorageError
from labelflow.storage.local import LocalFolder
from labelflow.tables import external_sort
from labelflow.tables.external_sort import SortedFile
from labelflow.tables.key_index import Int64Array
from labelflow.tables.part_files import strings, to_parquet

ROWS, PART_ROWS = 4000, 100
METADATA = {b"labelflow.table": b"labels"}


def ledger_order(tasks: Sequence[str]) -> Int64Array:
    return np.array([int(task[1:]) for task in tasks], np.int64)


def write_parts(folder: LocalFolder, numbers: list[int]) -> list[str]:
    """Write parts as collection passes do, each with rows from the whole manifest."""
    names = []
    for start in range(0, len(numbers), PART_ROWS):
        batch = numbers[start : start + PART_ROWS]
        table = pa.table({"row_id": [f"{n * 7919 % ROWS:x}" for n in batch], "task_id": [f"t{n}" for n in batch]})
        names.append(f"labels/part-{start}.parquet")
        folder.write(names[-1], to_parquet(table.replace_schema_metadata(METADATA)))
    return names


def merge(folder: LocalFolder, names: list[str], target: Path) -> list[Path]:
    target.mkdir()
    with external_sort.merge_sorted(folder, names, ledger_order) as merged:
        return [move_file(file, target) for file in merged]


def move_file(file: SortedFile, target: Path) -> Path:
    return file.path.rename(target / file.path.name)


def shuffled() -> list[int]:
    numbers = list(range(ROWS))
    random.Random(7).shuffle(numbers)
    return numbers


def test_rows_are_in_manifest_order_without_duplicate_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_sort, "GROUP_ROWS", 500)
    folder = LocalFolder(str(tmp_path))
    names = write_parts(folder, [*shuffled(), 3, 1, 2])
    (path,) = merge(folder, names, tmp_path / "merged")
    assert ledger_order(strings(pq.read_table(path), "task_id")).tolist() == list(range(ROWS))
    assert pq.ParquetFile(path).num_row_groups == ROWS // 500 + 1
    schema = pq.read_schema(path)
    assert (schema.names, schema.metadata) == (["row_id", "task_id"], METADATA)


def test_files_are_split_by_size_and_the_order_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_sort, "GROUP_ROWS", 200)
    monkeypatch.setattr(external_sort, "FILE_BYTES", 4_000)
    folder = LocalFolder(str(tmp_path))
    paths = merge(folder, write_parts(folder, shuffled()), tmp_path / "merged")
    assert len(paths) > 2
    assert all(path.stat().st_size >= 4_000 for path in paths[:-1])
    task_ids = [task_id for path in paths for task_id in strings(pq.read_table(path), "task_id")]
    assert ledger_order(task_ids).tolist() == list(range(ROWS))


def test_rows_missing_from_the_ledger_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_sort, "GROUP_ROWS", 500)
    folder = LocalFolder(str(tmp_path))
    names = write_parts(folder, shuffled())
    with external_sort.merge_sorted(folder, names, lambda tasks: np.full(len(tasks), 2**62, np.int64)) as merged:
        assert sum(pq.read_table(file.path).num_rows for file in merged) == ROWS


def test_row_lookup_by_id_reads_one_row_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_sort, "GROUP_ROWS", 200)
    folder = LocalFolder(str(tmp_path))
    (path,) = merge(folder, write_parts(folder, shuffled()), tmp_path / "merged")
    row_id = pq.read_table(path)["row_id"][ROWS // 2].as_py()
    plan = duckdb.execute(f"EXPLAIN ANALYZE SELECT * FROM '{path}' WHERE row_id = '{row_id}'").fetchall()[0][1]
    assert f"Row Groups Scanned: 1 / {ROWS // 200}" in plan, plan


def test_full_disk_during_partitioning_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = LocalFolder(str(tmp_path))
    names = write_parts(folder, shuffled())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(external_sort, "_open", full)
    with pytest.raises(StorageError, match="No space left on device; free disk space there, or set TMPDIR"):
        merge(folder, names, tmp_path / "merged")


def test_row_groups_of_large_rows_have_fewer_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some rows are much larger than the others, and many have the same number."""
    monkeypatch.setattr(external_sort, "GROUP_BYTES", 50_000)
    folder = LocalFolder(str(tmp_path / "out"))
    numbers = [*shuffled(), *range(50)]
    for start in range(0, len(numbers), PART_ROWS):
        batch = numbers[start : start + PART_ROWS]
        texts = ["x" * (20_000 if 1000 <= number < 1040 else 10) for number in batch]
        table = pa.table({"task_id": [f"t{number}" for number in batch], "text": texts})
        folder.write(f"labels/part-{start}.parquet", to_parquet(table))
    names = [file.name for file in folder.list("labels/")]
    (path,) = merge(folder, names, tmp_path / "merged")
    file = pq.ParquetFile(path)
    groups = [file.read_row_group(index) for index in range(file.num_row_groups)]
    assert [task for group in groups for task in strings(group, "task_id")] == [f"t{number}" for number in range(ROWS)]
    assert max(group.nbytes for group in groups) <= 50_000


def test_large_rows_with_the_same_number_share_a_row_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_sort, "GROUP_BYTES", 1000)
    folder = LocalFolder(str(tmp_path / "out"))
    for part in range(2):
        tasks = pa.table({"task_id": [f"{part}-{number}" for number in range(100)]})
        folder.write(f"labels/part-{part}.parquet", to_parquet(tasks))
    names = [file.name for file in folder.list("labels/")]
    with external_sort.merge_sorted(folder, names, lambda tasks: np.ones(len(tasks), np.int64)) as merged:
        assert [pq.read_metadata(file.path).num_rows for file in merged] == [200]
