"""CSV with a header, UTF-8, comma separated. All values are strings; an empty cell is null."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Protocol

import pyarrow as pa

from labelflow.manifests.format import FormatError, ManifestFormat, ParsedManifest, check_unique_columns
from labelflow.problems import Problem
from labelflow.records import ManifestRow

MAX_FIELD_CHARS = 16 << 20


class _StdlibReader(Protocol):
    """The type of `csv.reader`."""

    @property
    def line_num(self) -> int: ...

    def __next__(self) -> list[str]: ...


class _LineRecorder:
    """Iterates over lines, and records the original text of the current row, which may span several lines."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._row_lines: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._row_lines.append(line)
        return line

    def reset(self) -> None:
        """Start a new row."""
        self._row_lines.clear()

    def text(self) -> str:
        """The text of the current row."""
        return _as_utf8("".join(self._row_lines)).rstrip("\r\n")


def _read(file: BinaryIO) -> ParsedManifest:
    csv.field_size_limit(MAX_FIELD_CHARS)
    # An invalid UTF-8 byte becomes a lone surrogate, which is detected later: only its row is rejected.
    recorder = _LineRecorder(io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline=""))
    reader = csv.reader(recorder, strict=True)
    try:
        header = next(reader, None)
    except csv.Error as error:
        raise FormatError(f"has no readable header ({error})", "write the column names in the first line") from None
    if header is None:
        return ParsedManifest(iter(()), None, None)
    _check_header(header)
    schema = pa.schema([(name, pa.string()) for name in header])
    return ParsedManifest(_rows(reader, recorder, header), header, schema)


def _check_header(header: list[str]) -> None:
    if any(not _is_utf8(name) or "\0" in name for name in header):
        raise FormatError("is not UTF-8 text", "save it as UTF-8")
    check_unique_columns(header)


def _rows(reader: _StdlibReader, recorder: _LineRecorder, header: list[str]) -> Iterator[ManifestRow]:
    number = 0
    while True:
        start = reader.line_num + 1
        recorder.reset()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if reader.line_num > start:
                reason = f"has an unclosed or misplaced quote: lines {start} to {reader.line_num} are inside it"
                raise FormatError(reason, f"fix line {start}; double each quote inside a value") from None
            number += 1
            problem = Problem(
                "(line)", f"cannot be read ({error})", "close its quotes; double each quote inside a value"
            )
            yield ManifestRow(number, {}, problem, recorder.text())
            continue
        if cells:
            number += 1
            yield _row(number, cells, header, recorder)


def _row(number: int, cells: list[str], header: list[str], recorder: _LineRecorder) -> ManifestRow:
    values = {name: cell or None for name, cell in zip(header, cells, strict=False)}
    if len(cells) != len(header):
        reason = f"has {len(cells)} cells, expected {len(header)}"
        problem = Problem(
            "(line)", reason, "write one cell per column, even if it is empty; quote cells that contain commas"
        )
        return ManifestRow(number, {}, problem, recorder.text())
    for name, cell in values.items():
        if cell is not None and not _is_utf8(cell):
            safe = {key: value and _as_utf8(value) for key, value in values.items()}
            return ManifestRow(number, safe, Problem(name, "is not UTF-8", "save the file as UTF-8"))
    return ManifestRow(number, values)


def _as_utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


FORMAT = ManifestFormat((".csv",), _read)
