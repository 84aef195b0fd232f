"""Files on disk are complete or absent, whatever happens during a write; compaction survives a crash at any step."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from labelflow.errors import RunAborted, StorageError
from labelflow.storage import s3
from labelflow.storage.local import LocalFolder
from labelflow.storage.opening import open_folder
from labelflow.tables import compaction, external_sort
from labelflow.tables.compaction import compact, finish_compaction
from labelflow.tables.key_index import Int64Array
from labelflow.tables.part_files import list_parts, read_part, strings, to_parquet
from tests.support.s3_servers import Bucket

PREFIX = "labels/"
ORDER = {f"t{number}": number for number in range(1, 13)}


def ledger_order(tasks: Sequence[str]) -> Int64Array:
    return np.array([ORDER[task] for task in tasks], np.int64)


def write_part(folder: LocalFolder, name: str, numbers: list[int]) -> None:
    """A part with these tasks, newest first as the API lists them."""
    table = pa.table({"task_id": [f"t{number}" for number in reversed(numbers)]})
    folder.write(f"{PREFIX}{name}.parquet", to_parquet(table))


def visible_names(folder: LocalFolder) -> list[str]:
    """The tasks that a reader sees."""
    return [task for name in list_parts(folder, PREFIX) for task in strings(read_part(folder, name), "task_id")]


class Crash(BaseException):
    """A power failure."""


class CrashingFolder(LocalFolder):
    """Asserts before each change that no task is visible twice; raises Crash before change number `crash_at`."""

    def __init__(self, path: str, crash_at: int = 0) -> None:
        super().__init__(path)
        self.changes = 0
        self._crash_at = crash_at

    def _before_change(self) -> None:
        visible = visible_names(self)
        assert len(visible) == len(set(visible)), "a reader sees a row twice"
        self.changes += 1
        if self.changes == self._crash_at:
            raise Crash

    def write(self, name: str, content: bytes) -> None:
        self._before_change()
        super().write(name, content)

    def write_file(self, name: str, path: Path) -> None:
        self._before_change()
        super().write_file(name, path)

    def move(self, name: str, target: str) -> None:
        self._before_change()
        super().move(name, target)

    def delete(self, name: str) -> None:
        self._before_change()
        super().delete(name)


def make_parts(path: Path) -> LocalFolder:
    folder = LocalFolder(str(path))
    write_part(folder, "part-a", [7, 8, 9])
    write_part(folder, "part-b", [1, 2, 3])
    write_part(folder, "part-c", [10, 11, 12])
    write_part(folder, "part-d", [4, 5, 6])
    return folder


def test_merged_parts_are_sorted_and_nothing_else_is_left(tmp_path: Path) -> None:
    folder = make_parts(tmp_path)
    compact(folder, PREFIX, ledger_order)
    assert visible_names(folder) == list(ORDER)
    assert len(list_parts(folder, PREFIX)) == 1
    assert [path.name for path in (tmp_path / "_ledger").rglob("*") if path.is_file()] == []


def test_crash_at_any_step_loses_and_duplicates_nothing(tmp_path: Path) -> None:
    steps = CrashingFolder(str(make_parts(tmp_path / "whole")._root))
    compact(steps, PREFIX, ledger_order)
    assert steps.changes >= 8
    for step in range(1, steps.changes + 1):
        path = tmp_path / f"crash-{step}"
        make_parts(path)
        with pytest.raises(Crash):
            compact(CrashingFolder(str(path), step), PREFIX, ledger_order)
        folder = CrashingFolder(str(path))
        finish_compaction(folder)
        assert sorted(visible_names(folder), key=ORDER.__getitem__) == list(ORDER), f"after a crash at step {step}"
        finish_compaction(folder)
        compact(folder, PREFIX, ledger_order)
        assert visible_names(folder) == list(ORDER)
        assert folder.read(compaction.PLAN) is None


def test_files_are_merged_up_to_the_size_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_parts(tmp_path)
    monkeypatch.setattr(external_sort, "GROUP_ROWS", 3)
    monkeypatch.setattr(external_sort, "FILE_BYTES", 2 * max(file.size for file in folder.list(PREFIX)) + 1)
    compact(folder, PREFIX, ledger_order)
    assert 1 < len(list_parts(folder, PREFIX)) < 4
    assert sorted(visible_names(folder), key=ORDER.__getitem__) == list(ORDER)


def test_single_part_is_left_unchanged(tmp_path: Path) -> None:
    folder = LocalFolder(str(tmp_path))
    write_part(folder, "part-a", [1, 2])
    before = (tmp_path / PREFIX / "part-a.parquet").stat()
    compact(folder, PREFIX, ledger_order)
    assert (tmp_path / PREFIX / "part-a.parquet").stat() == before


def test_other_files_are_not_parts(tmp_path: Path) -> None:
    folder = make_parts(tmp_path)
    folder.write(f"{PREFIX}README.txt", b"mine")
    compact(folder, PREFIX, ledger_order)
    assert visible_names(folder) == list(ORDER)
    assert folder.read(f"{PREFIX}README.txt") == b"mine"


def test_readers_see_the_old_file_until_the_new_one_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = LocalFolder(str(tmp_path))
    folder.write("a/file.parquet", b"old")
    snapshots: list[tuple[bytes | None, list[str]]] = []

    def fsync(handle: int) -> None:
        snapshots.append((folder.read("a/file.parquet"), [file.name for file in folder.list("a/")]))

    monkeypatch.setattr(os, "fsync", fsync)
    folder.write("a/file.parquet", b"new")
    assert snapshots == [
        (b"old", ["a/file.parquet"]),
        (b"new", ["a/file.parquet"]),
    ]  # fsync of the file, of the directory


def test_failed_write_leaves_only_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = LocalFolder(str(tmp_path))
    folder.write("file", b"old")

    def fsync(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StorageError, match="No space left"):
        folder.write("file", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]


def test_concurrent_writers_of_one_file_do_not_conflict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, sync = LocalFolder(str(tmp_path)), os.fsync

    def fsync(handle: int) -> None:
        monkeypatch.setattr(os, "fsync", sync)
        folder.write("file", b"the other's")  # before the first one is renamed

    monkeypatch.setattr(os, "fsync", fsync)
    folder.write("file", b"mine")
    assert folder.read("file") == b"mine"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_files_are_listed_by_name_without_partial_ones(tmp_path: Path) -> None:
    folder = LocalFolder(str(tmp_path))
    for name in ("a/c", "a/a", "a/b", "a/.b.1234.part"):
        folder.write(name, b"12")
    assert [(file.name, file.size) for file in folder.list("a/")] == [("a/a", 2), ("a/b", 2), ("a/c", 2)]


def test_compaction_plan_executed_concurrently_is_harmless(tmp_path: Path) -> None:
    class Overtaken(LocalFolder):
        """Reads the plan just before another run executes it."""

        def read(self, name: str) -> bytes | None:
            content = super().read(name)
            if name == compaction.PLAN:
                finish_compaction(LocalFolder(str(tmp_path)))
            return content

    make_parts(tmp_path)
    compact(Overtaken(str(tmp_path)), PREFIX, ledger_order)
    assert visible_names(LocalFolder(str(tmp_path))) == list(ORDER)


OUTSIDE = ["../victim.json", "labels/../../victim.json", "/etc/hostname", "labels//a", "./a", "a\0b", ".."]


@pytest.mark.parametrize("name", OUTSIDE)
def test_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, bucket: Bucket, name: str) -> None:
    victim = tmp_path / "victim.json"
    victim.write_text("precious")
    for folder in (LocalFolder(str(tmp_path / "out")), open_folder(bucket.uri("out"))):
        folder.write("labels/a", b"a")
        for use in (
            folder.read,
            folder.open,
            folder.delete,
            folder.age,
            folder.list,
            lambda name, folder=folder: folder.write(name, b"b"),
            lambda name, folder=folder: folder.create(name, b"b"),
            lambda name, folder=folder: folder.move("labels/a", name),
            lambda name, folder=folder: folder.move(name, "labels/b"),
        ):
            with pytest.raises(StorageError, match="is not a valid file name in an output folder"):
                use(name)
    assert victim.read_text() == "precious"


def test_symbolic_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    victims = tmp_path / "victims"
    victims.mkdir()
    (victims / "a.parquet").write_text("precious")
    folder = LocalFolder(str(tmp_path / "out"))
    folder.write("summary.json", b"{}")
    (tmp_path / "out" / "labels").symlink_to(victims)
    (tmp_path / "out" / "config.json").symlink_to(victims / "a.parquet")
    for use in (
        lambda: folder.delete("labels/a.parquet"),
        lambda: folder.write("labels/a.parquet", b""),
        lambda: folder.move("summary.json", "labels/a.parquet"),
        lambda: folder.list("labels/"),
        lambda: folder.read("config.json"),
    ):
        with pytest.raises(StorageError, match="is a symbolic link out of the output folder"):
            use()
    assert [(path.name, path.read_text()) for path in victims.iterdir()] == [("a.parquet", "precious")]


def test_folder_may_be_a_symbolic_link_and_contain_links_to_its_own_files(tmp_path: Path) -> None:
    LocalFolder(str(tmp_path / "real")).write("a.json", b"a")
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "b.json").symlink_to("a.json")
    folder = LocalFolder(str(tmp_path / "linked"))
    folder.write("labels/c", b"c")
    assert (folder.read("b.json"), folder.read("labels/c")) == (b"a", b"c")


def test_planted_file_of_any_size_or_kind_does_not_block_or_fill_the_memory(tmp_path: Path, bucket: Bucket) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(10 << 30)
    os.mkfifo(tmp_path / "pipe")
    folder = LocalFolder(str(tmp_path))
    with pytest.raises(StorageError, match="large: has 10,737,418,240 bytes, more than labelflow writes"):
        folder.read("large")
    for use in (folder.read, folder.open):
        with pytest.raises(StorageError, match="pipe: is not a file"):
            use("pipe")


def test_planted_object_of_any_size_is_not_read(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "MAX_READ_BYTES", 1000)
    folder = open_folder(bucket.uri("out"))
    folder.write("large", bytes(1001))
    folder.write("small", bytes(1000))
    with pytest.raises(StorageError, match="large: has 1,001 bytes"):
        folder.read("large")
    assert folder.read("small") == bytes(1000)


@pytest.mark.parametrize(
    "name", ["../../victim.parquet", "/victim.parquet", "_ledger/job.json", "labels/a/../b.parquet"]
)
def test_planted_compaction_plan_deletes_and_moves_nothing_else(tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim.parquet"
    victim.write_text("precious")
    folder = make_parts(tmp_path / "a" / "out")
    folder.write("_ledger/job.json", b"{}")
    before = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    name = str(victim) if name.startswith("/") else name
    for plan in ({"remove": [name], "place": []}, {"remove": [], "place": [name]}):
        (tmp_path / "a" / "out" / compaction.PLAN).write_text(json.dumps(plan))
        with pytest.raises(RunAborted, match=r"compaction.json is not a plan of labelflow; restore it"):
            finish_compaction(folder)
        (tmp_path / "a" / "out" / compaction.PLAN).unlink()
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == before
