"""Files that another process removes while they are read, and files that killed processes leave behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pytest

from labelflow.errors import FileGone
from labelflow.outputs.outcomes import OutcomeIndex
from labelflow.outputs.unlabeled_sample import sample_unlabeled_rows
from labelflow.storage.folder import Folder
from labelflow.storage.local import LEFTOVER_AGE, LocalFolder
from labelflow.storage.opening import open_folder
from labelflow.tables import temporary
from labelflow.tables.compaction import compact
from labelflow.tables.key_index import Int64Array
from labelflow.tables.part_files import read_part, to_parquet
from labelflow.tables.temporary import temporary_directory
from tests.support.commands import ROOT
from tests.support.s3_servers import Bucket

PARTS, ROWS = 20, 5
TIME = pa.timestamp("ms", "UTC")


@pytest.fixture(params=["disk", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    uri = str(tmp_path / "out") if request.param == "disk" else request.getfixturevalue("bucket").uri("out")
    return open_folder(uri)


def in_any_order(task_ids: Sequence[str]) -> Int64Array:
    return np.arange(len(task_ids), dtype=np.int64)


def write_part(folder: Folder, prefix: str, number: int) -> None:
    ids = [f"task-{number}-{row}" for row in range(ROWS)]
    times, status = pa.nulls(ROWS, TIME), ["error"] * ROWS
    columns: dict[str, Any] = {"task_id": ids, "row_id": ids, "completed_at": times, "updated_at": times}
    folder.write(
        f"{prefix}part-{number}.parquet", to_parquet(pa.table({**columns, "status": status, "reason": status}))
    )


class MergingFolder(LocalFolder):
    """Before a file is opened, another process merges all files, a number of times."""

    def __init__(self, path: str, merges: int) -> None:
        super().__init__(path)
        self.merges = merges

    def open(self, name: str) -> BinaryIO:
        if self.merges:
            self.merges -= 1
            prefix = name.partition("/")[0] + "/"
            write_part(LocalFolder(self.uri), prefix, PARTS + self.merges)  # so that there is something to merge
            compact(LocalFolder(self.uri), prefix, in_any_order)
        return super().open(name)


@pytest.mark.parametrize("merges", [1, 2, 5])
def test_listing_is_repeated_when_a_listed_file_is_gone(tmp_path: Path, merges: int) -> None:
    for prefix in ("labels/", "errors/"):
        for number in range(3):
            write_part(LocalFolder(str(tmp_path)), prefix, number)
    assert len(OutcomeIndex(MergingFolder(str(tmp_path), merges))) == (3 + merges) * ROWS
    assert len(sample_unlabeled_rows(MergingFolder(str(tmp_path), merges))) >= 3 * ROWS


def test_index_can_be_read_at_any_moment_of_a_merge(folder: Folder) -> None:
    for number in range(PARTS):
        write_part(folder, "labels/", number)
    stopped = threading.Event()

    def merge() -> None:
        number = PARTS
        while not stopped.is_set():
            compact(folder, "labels/", in_any_order)
            for _ in range(3):
                write_part(folder, "labels/", number)
                number += 1

    thread = threading.Thread(target=merge)
    thread.start()
    try:
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            OutcomeIndex(folder)
    finally:
        stopped.set()
        thread.join()
    assert len(OutcomeIndex(folder)) >= PARTS * ROWS


def test_missing_file_is_named(folder: Folder) -> None:
    with pytest.raises(FileGone, match=r"labels/none\.parquet: was removed by another process"):
        read_part(folder, "labels/none.parquet")


def test_object_that_is_replaced_while_it_is_read_is_gone(bucket: Bucket) -> None:
    folder = open_folder(bucket.uri("out"))
    folder.write("a.bin", bytes(8 << 20))
    file = folder.open("a.bin")
    folder.write("a.bin", b"x" * (8 << 20))
    file.seek(6 << 20)
    with pytest.raises(FileNotFoundError, match="was replaced while it was read"):
        file.read()


def test_list_shows_the_visible_files_of_one_folder(folder: Folder) -> None:
    for name in ("labels/a", "labels/.hidden", "labels/day=1/b", "labels/_c", "errors/d"):
        folder.write(name, b"x")
    assert [file.name for file in folder.list("labels/")] == ["labels/_c", "labels/a"]


def test_temporary_files_of_killed_processes_are_removed_after_a_while(tmp_path: Path) -> None:
    folder = LocalFolder(str(tmp_path))
    folder.write("labels/a.parquet", b"x")
    old, young = (tmp_path / "labels" / f".a.parquet.0000000{number}.part" for number in (1, 2))
    other = tmp_path / "labels" / ".mine.part"
    for path in (old, young, other):
        path.write_bytes(b"half")
    for path in (old, other):
        os.utime(path, (time.time() - LEFTOVER_AGE - 60,) * 2)
    folder.remove_leftovers()
    assert sorted(path.name for path in (tmp_path / "labels").iterdir()) == [
        young.name,
        other.name,
        "a.parquet",
    ]


def test_temporary_folder_of_a_killed_process_is_removed_and_that_of_a_live_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(temporary, "MIN_AGE", -1.0)
    code = (
        "import time\nfrom labelflow.tables.temporary import temporary_directory\n"
        "with temporary_directory() as folder:\n    print(folder, flush=True)\n    time.sleep(600)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as process:
        assert process.stdout
        folder = Path(process.stdout.readline().strip())
        with temporary_directory():
            assert folder.is_dir(), "its process is alive"
        process.kill()
        process.wait()
        with temporary_directory():
            assert not folder.exists()
