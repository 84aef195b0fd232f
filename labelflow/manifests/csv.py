"""CSV with a header, UTF-8, comma separated. Every value is text; an empty cell is null."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Protocol

import pyarrow as pa

from labelflow.manifests.format import FormatError, ManifestFormat, ParsedManifest, check_unique_columns
from labelflow.problems import Problem
from labelflow.records import ManifestRow

MAX_FIELD_CHARS = 16 << 20  # characters


class Lines(Protocol):
    """What `csv.reader` gives."""

    @property
    def line_num(self) -> int: ...

    def __next__(self) -> list[str]: ...


class _LineRecorder:
    """The lines of a text, one by one, with those since the last row as they stand in the file."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._since: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._since.append(line)
        return line

    def reset(self) -> None:
        """A row begins."""
        self._since.clear()

    def text(self) -> str:
        """The text of the row's lines."""
        return _as_utf8("".join(self._since)).rstrip("\r\n")


def _read(file: BinaryIO) -> ParsedManifest:
    csv.field_size_limit(MAX_FIELD_CHARS)
    # A byte that is no UTF-8 becomes a lone surrogate: found again row by row, it costs its row only.
    text = _LineRecorder(io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline=""))
    lines = csv.reader(text, strict=True)
    try:
        header = next(lines, None)
    except csv.Error as error:
        raise FormatError(f"has no readable header ({error})", "start it with the names of the columns") from None
    if header is None:
        return ParsedManifest(iter(()), None, None)
    _check_header(header)
    schema = pa.schema([(name, pa.string()) for name in header])
    return ParsedManifest(_rows(lines, text, header), header, schema)


def _check_header(header: list[str]) -> None:
    if any(not _is_utf8(name) or "\0" in name for name in header):
        raise FormatError("is not UTF-8 text", "save it as UTF-8")
    check_unique_columns(header)


def _rows(lines: Lines, text: _LineRecorder, header: list[str]) -> Iterator[ManifestRow]:
    number = 0
    while True:
        start = lines.line_num + 1
        text.reset()
        try:
            cells = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            if lines.line_num > start:
                reason = f"has a quote that closes wrongly or never: lines {start} to {lines.line_num} are inside it"
                raise FormatError(reason, f"mend line {start}; double a quote inside a text") from None
            number += 1
            problem = Problem("(line)", f"cannot be read ({error})", "close its quotes; double a quote inside a text")
            yield ManifestRow(number, {}, problem, text.text())
            continue
        if cells:
            number += 1
            yield _row(number, cells, header, text)


def _row(number: int, cells: list[str], header: list[str], text: _LineRecorder) -> ManifestRow:
    values = {name: cell or None for name, cell in zip(header, cells, strict=False)}
    if len(cells) != len(header):
        reason = f"has {len(cells)} cells under {len(header)} columns"
        problem = Problem("(line)", reason, "quote cells that hold commas; leave a cell empty, but not out")
        return ManifestRow(number, {}, problem, text.text())
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
