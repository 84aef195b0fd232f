"""Measure the layout of finished labels/, and how much of it a DuckDB query for one row reads.

    python -m benchmarks.product.labels FOLDER

order: the share of rows in manifest order. zstd: the share of column chunks that are compressed with zstd. dictionary:
the share of text column chunks that are dictionary-encoded. read: the share of the bytes that the query reads (counted
by the system; NaN if it does not count them). `seconds` is the time of the query.
"""

from __future__ import annotations

import argparse
import time
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from benchmarks.process_metrics import report

_PROC_IO = Path("/proc/self/io")


def row_numbers(files: list[Path]) -> list[int]:
    """The rows' numbers in the manifest, in the order of the files."""
    row_ids = (pq.read_table(file, columns=["row_id"])["row_id"].to_pylist() for file in files)
    return [int(str(row_id).removeprefix("r")) for row_id in chain.from_iterable(row_ids)]


def column_chunks(file: Path) -> list[Any]:
    """The metadata of all column chunks of a file (pyarrow's ColumnChunkMetaData)."""
    metadata = pq.read_metadata(file)
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    return [group.column(column) for group in groups for column in range(group.num_columns)]


def fraction(flags: list[bool]) -> float:
    """The share of true values, 0–1."""
    return sum(flags) / max(1, len(flags))


def lookup_bytes(folder: Path, row_id: str) -> float:
    """Query one row; returns the number of bytes that were read."""
    with duckdb.connect() as connection:
        before = _bytes_read()
        rows = connection.execute(f"select * from '{folder}/*.parquet' where row_id = ?", [row_id]).fetchall()
        if len(rows) != 1:
            raise RuntimeError(f"{row_id} has {len(rows)} rows in {folder}, not 1")
        return _bytes_read() - before


def _bytes_read() -> float:
    if not _PROC_IO.exists():
        return float("nan")
    lines = dict(line.split(": ") for line in _PROC_IO.read_text().splitlines())
    return float(lines["rchar"])


def main() -> None:
    """Measure the files and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="labels/ of an output folder")
    folder = parser.parse_args().folder
    files = sorted(folder.glob("*.parquet"))
    numbers = row_numbers(files)
    size = sum(file.stat().st_size for file in files)
    columns = [column for file in files for column in column_chunks(file)]
    text_columns = [column for column in columns if column.physical_type == "BYTE_ARRAY"]
    started_at = time.monotonic()
    read = lookup_bytes(folder, f"r{len(numbers) // 2}")
    report(
        len(numbers),
        time.monotonic() - started_at,
        files=len(files),
        megabytes=round(size / 1e6, 1),
        groups=sum(pq.read_metadata(file).num_row_groups for file in files),
        order=fraction([first < second for first, second in pairwise(numbers)]),
        zstd=fraction([column.compression == "ZSTD" for column in columns]),
        dictionary=fraction([column.has_dictionary_page for column in text_columns]),
        read=round(read / size, 4),
    )


if __name__ == "__main__":
    main()
