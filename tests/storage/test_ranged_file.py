"""A remote file read in ranges: what readers get, and how many requests it costs."""

from __future__ import annotations

import io
import random
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from labelflow.storage.ranged_file import RangedFile, ReadBudgetExceeded
from tests.support.media_server import picture

CONTENT = random.Random(1).randbytes(100_000)


class RangeSource:
    """Remote bytes; records the requested ranges."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.content = content
        self.requests: list[tuple[int, int]] = []

    def __call__(self, start: int, stop: int) -> bytes:
        assert 0 <= start < stop <= len(self.content)
        self.requests.append((start, stop))
        return self.content[start:stop]

    def open(self, block: int = 1000, **options: object) -> RangedFile:
        return RangedFile(self, len(self.content), block, **options)  # type: ignore[arg-type]


def test_reads_match_a_plain_file_at_any_position() -> None:
    plain, ranged, rng = io.BytesIO(CONTENT), RangeSource().open(prefix=CONTENT[:1500]), random.Random(2)
    for _ in range(500):
        position, size = rng.randrange(len(CONTENT) + 50), rng.choice([0, 1, 999, 1000, 1001, 5000])
        assert ranged.seek(position) == plain.seek(position)
        assert ranged.read(size) == plain.read(size)
        assert ranged.tell() == plain.tell()


def test_seeks_from_all_three_ends() -> None:
    file = RangeSource().open()
    assert file.seek(-10, io.SEEK_END) == 99_990
    assert file.read() == CONTENT[-10:]
    assert file.seek(100) == 100
    assert file.seek(5, io.SEEK_CUR) == 105
    with pytest.raises(ValueError, match="before the start"):
        file.seek(-1)


def test_a_block_is_fetched_once_while_it_is_kept() -> None:
    source = RangeSource()
    file = source.open()
    for _ in range(3):
        file.seek(1200)
        file.read(10)
    assert source.requests == [(1000, 2000)]


def test_least_recently_used_blocks_are_evicted() -> None:
    source = RangeSource()
    file = source.open()
    for position in [*range(0, 20_000, 1000), 0]:
        file.seek(position)
        file.read(1)
    assert source.requests.count((0, 1000)) == 2
    assert len(source.requests) == 21


def test_a_long_read_is_one_request() -> None:
    source = RangeSource()
    assert source.open().read(50_000) == CONTENT[:50_000]
    assert source.requests == [(0, 50_000)]


def test_prefix_is_not_requested_again() -> None:
    source = RangeSource()
    file = source.open(prefix=CONTENT[:1500])
    assert file.read(1500) == CONTENT[:1500]
    assert source.requests == []
    assert file.read(100) == CONTENT[1500:1600]
    assert source.requests == [(1500, 2000)]


def test_exceeded_read_budget_ends_the_reading() -> None:
    source = RangeSource()
    file = source.open(budget=2500)
    file.read(1)
    file.seek(50_000)
    file.read(1)
    file.seek(70_000)
    with pytest.raises(ReadBudgetExceeded):
        file.read(1)
    assert isinstance(file.failure, ReadBudgetExceeded)
    assert len(source.requests) == 2


def test_a_size_from_a_hostile_file_allocates_nothing() -> None:
    file = RangeSource(b"short").open()
    assert file.read(1 << 60) == b"short"


def test_short_response_is_an_error() -> None:
    file = RangedFile(lambda start, stop: b"x", 100)
    with pytest.raises(OSError, match="requested 100 bytes, got 1"):
        file.read()


def test_closed_file_raises() -> None:
    file = RangeSource().open()
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.read()


def test_pyarrow_reads_parquet_through_it() -> None:
    table = pa.table({"id": list(range(20_000)), "name": [f"row {i}" for i in range(20_000)]})
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=1000, compression="none")
    source = RangeSource(sink.getvalue())
    parquet = pq.ParquetFile(pa.PythonFile(source.open(4096), mode="r"))
    assert parquet.read_row_group(3).equals(table.slice(3000, 1000))
    assert sum(stop - start for start, stop in source.requests) < len(source.content) / 2
    assert pq.read_table(pa.PythonFile(source.open(4096), mode="r")).equals(table)


def test_pil_reads_only_what_it_needs() -> None:
    source = RangeSource(picture(3000, 2000, "BMP"))
    with Image.open(cast(BinaryIO, source.open(4096))) as image:
        assert image.size == (3000, 2000)
    assert sum(stop - start for start, stop in source.requests) <= 4096


def test_buffered_reader_yields_lines() -> None:
    lines = [f"line {i}\n".encode() for i in range(5000)]
    assert list(io.BufferedReader(RangeSource(b"".join(lines)).open(), 512)) == lines
