"""A reader of `labels/`, as a user would write it with pyarrow: reads repeatedly while runs write and crash."""

from __future__ import annotations

import io
import threading
from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from tests.proofs.chaos.stores import OutputStore

READ_INTERVAL = 0.1  # seconds


class LabelReader:
    """Reads the labels of one job in a separate thread until it is stopped, without code of labelflow.

    unreadable: files that are not valid Parquet files. If a file is removed or replaced while it is read, or the store
    is unavailable, the folder is listed again. empty_reads: reads of a folder without files, which is possible for a
    short time during a compaction.
    """

    def __init__(self, store: OutputStore, job: str) -> None:
        self.reads = 0
        self.empty_reads = 0
        self.unreadable: list[str] = []
        self.duplicate_rows = 0
        self._filesystem, self._labels = store.filesystem(), f"{store.path(job)}/labels"
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._stopped.wait(READ_INTERVAL):
            with suppress(OSError):
                self._read_once()

    def _read_once(self) -> None:
        selector = fs.FileSelector(self._labels, allow_not_found=True)
        paths = [file.path for file in self._filesystem.get_file_info(selector) if file.base_name[0] not in "._"]
        contents = [self._content(path) for path in paths]
        if not contents:
            self.empty_reads += 1
            return
        row_ids = [
            row_id for path, content in zip(paths, contents, strict=True) for row_id in self._row_ids(path, content)
        ]
        self.reads += 1
        self.duplicate_rows += len(row_ids) - len(set(row_ids))

    def _content(self, path: str) -> bytes:
        with self._filesystem.open_input_file(path) as file:
            return bytes(file.read())

    def _row_ids(self, path: str, content: bytes) -> list[str]:
        try:
            return list(map(str, pq.read_table(io.BytesIO(content), columns=["row_id"])["row_id"].to_pylist()))
        except (pa.ArrowException, OSError) as error:  # a damaged file raises either of them
            if self._filesystem.get_file_info(path).size != len(content):  # S3: pyarrow reads the size separately
                raise OSError(f"{path}: was replaced while it was read") from None
            self.unreadable.append(f"{path}: {error}"[:300])
            return []
