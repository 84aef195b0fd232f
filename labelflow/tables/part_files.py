"""Part files: name, write, list and read the Parquet files of a table."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar, cast

import pyarrow as pa
import pyarrow.parquet as pq

from labelflow.errors import FileGone, RunAborted, StorageError
from labelflow.storage.folder import Folder
from labelflow.tables.temporary import temporary_directory

T = TypeVar("T")

MAX_LISTINGS, LISTING_PAUSE = 20, 0.1  # seconds
BATCH_ROWS = 1 << 15  # rows of a batch of `read_batches`


def to_parquet(table: pa.Table) -> bytes:
    """Encode a table as one Parquet file, compressed with zstd."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def unwritable_column(schema: pa.Schema) -> str | None:
    """Return the name of the first column that a Parquet file cannot store; None if it can store all of them."""
    for field in schema:
        try:
            to_parquet(pa.schema([field]).empty_table())
        except pa.ArrowException:
            return field.name
    return None


def digest_of(table: pa.Table) -> str:
    """Return the SHA-256 of the task ids of a table, in order, as hexadecimal digits."""
    return hashlib.sha256("\n".join(strings(table, "task_id")).encode()).hexdigest()


def part_name(folder: str, digest: str) -> str:
    """Return the file name of a part, derived from the digest of its tasks: equal tasks have equal names.

    Example:
        part_name("labels/", digest_of(table))  # "labels/part-0123456789abcdef.parquet"
    """
    return f"{folder}part-{digest[:16]}.parquet"


def strings(table: pa.Table, column: str) -> list[str]:
    """Return the values of a string column without nulls."""
    return cast("list[str]", table[column].to_pylist())


def list_parts(folder: Folder, prefix: str) -> list[str]:
    """List the names of the Parquet files below a prefix, sorted."""
    return [file.name for file in folder.list(prefix) if file.name.endswith(".parquet")]


def read_part(folder: Folder, name: str, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet file, or some of its columns. Raises RunAborted if it is not valid, or has not these columns."""
    with _open_part(folder, name, columns) as file:
        return file.read(columns, use_threads=False)  # starting threads takes longer than reading a small file


def retry_listing(read: Callable[[], T]) -> T:
    """Call a function that lists files and reads them, again while files are removed in between.

    Raises FileGone if that happens MAX_LISTINGS times.
    """
    for _ in range(MAX_LISTINGS - 1):
        with suppress(FileGone):
            return read()
        time.sleep(LISTING_PAUSE)
    return read()


def count_part_rows(folder: Folder, name: str) -> int:
    """Return the number of rows of a Parquet file, from its footer. Raises RunAborted as `read_part` does."""
    with _open_part(folder, name) as file:
        return int(file.metadata.num_rows)


def read_schema(folder: Folder, name: str) -> pa.Schema:
    """Return the schema of a Parquet file. Raises RunAborted as `read_part` does."""
    with _open_part(folder, name) as file:
        return file.schema_arrow


def read_metadata(folder: Folder, name: str) -> dict[str, str]:
    """Return the metadata of the schema of a Parquet file. Raises RunAborted as `read_part` does."""
    metadata = read_schema(folder, name).metadata or {}
    return {key.decode(): value.decode("utf-8", "replace") for key, value in metadata.items()}


def read_batches(folder: Folder, name: str, columns: list[str]) -> Iterator[pa.Table]:
    """Read some columns of a Parquet file of any size in batches. Raises RunAborted as `read_part` does."""
    with _open_part(folder, name, columns) as file:
        for batch in file.iter_batches(BATCH_ROWS, columns=columns, use_threads=False):
            yield pa.Table.from_batches([batch])


def read_groups(folder: Folder, name: str, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """Read a Parquet file of any size by row group; writers limit their size. Raises RunAborted as `read_part` does."""
    with _open_part(folder, name, columns) as file:
        for index in range(file.metadata.num_row_groups):
            yield file.read_row_group(index, columns, use_threads=False)


@contextmanager
def changed_part(folder: Folder, name: str, change: Callable[[pa.Table], pa.Table]) -> Iterator[Path | None]:
    """Apply a change to each row group of a Parquet file; yields a local file with the result, None without rows.

    Raises RunAborted as `read_part` does, and StorageError if the local disk is full.
    """
    with temporary_directory() as directory:
        path, writer = directory / "changed.parquet", None
        for table in map(change, read_groups(folder, name)):
            if len(table):
                writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
                writer.write_table(table)
        if writer:
            writer.close()
        yield path if writer else None


@contextmanager
def _open_part(folder: Folder, name: str, columns: Sequence[str] | None = None) -> Iterator[pq.ParquetFile]:
    with folder.open(name) as file:
        try:
            parquet = pq.ParquetFile(file)
            missing = sorted(set(columns or ()) - set(parquet.schema_arrow.names))
            if missing:
                reason = f"is not a file of this job: it has no column {missing[0]}"
                raise RunAborted(f"{folder.uri}/{name} {reason}; move it elsewhere")
            yield parquet
        except FileNotFoundError:
            raise FileGone(f"{folder.uri}/{name}: was replaced by another process; run again") from None
        except pa.ArrowException as error:
            raise RunAborted(f"{folder.uri}/{name} cannot be read ({error}); remove or restore it") from None
        except OSError as error:
            raise StorageError(f"{folder.uri}/{name}: {error}") from None
