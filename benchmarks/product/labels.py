"""What a finished labels/ is made of, and how much of it a DuckDB query for one row reads.

    python -m benchmarks.product.labels FOLDER

order: the share of rows that stand behind the one before them in the manifest. zstd, dictionary: the shares of column
chunks, and of those of text columns, that are so written. read: the share of the bytes that the query reads (by the
system's count; NaN where it counts none). `seconds` is the query's.
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
    """The rows' places in the manifest, in the order of the files."""
    row_ids = (pq.read_table(file, columns=["row_id"])["row_id"].to_pylist() for file in files)
    return [int(str(row_id).removeprefix("r")) for row_id in chain.from_iterable(row_ids)]


def column_chunks(file: Path) -> list[Any]:
    """How each column of each row group is written: pyarrow's ColumnChunkMetaData."""
    found = pq.read_metadata(file)
    groups = [found.row_group(number) for number in range(found.num_row_groups)]
    return [group.column(column) for group in groups for column in range(group.num_columns)]


def fraction(found: list[bool]) -> float:
    """How many of them are so."""
    return sum(found) / max(1, len(found))


def lookup_bytes(folder: Path, row_id: str) -> float:
    """Look one row up; gives the bytes that it took."""
    with duckdb.connect() as connection:
        before = _bytes_read()
        rows = connection.execute(f"select * from '{folder}/*.parquet' where row_id = ?", [row_id]).fetchall()
        if len(rows) != 1:
            raise RuntimeError(f"{row_id} is there {len(rows)} times")
        return _bytes_read() - before


def _bytes_read() -> float:
    if not _PROC_IO.exists():
        return float("nan")
    lines = dict(line.split(": ") for line in _PROC_IO.read_text().splitlines())
    return float(lines["rchar"])


def main() -> None:
    """Look, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="labels/ of an output folder")
    folder = parser.parse_args().folder
    files = sorted(folder.glob("*.parquet"))
    numbers = row_numbers(files)
    size = sum(file.stat().st_size for file in files)
    columns = [column for file in files for column in column_chunks(file)]
    texts = [column for column in columns if column.physical_type == "BYTE_ARRAY"]
    begun = time.monotonic()
    read = lookup_bytes(folder, f"r{len(numbers) // 2}")
    report(
        len(numbers),
        time.monotonic() - begun,
        files=len(files),
        megabytes=round(size / 1e6, 1),
        groups=sum(pq.read_metadata(file).num_row_groups for file in files),
        order=fraction([one < other for one, other in pairwise(numbers)]),
        zstd=fraction([column.compression == "ZSTD" for column in columns]),
        dictionary=fraction([column.has_dictionary_page for column in texts]),
        read=round(read / size, 4),
    )


if __name__ == "__main__":
    main()
