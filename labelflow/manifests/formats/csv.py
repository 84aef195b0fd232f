"""CSV with a header, UTF-8. All values are strings; an empty cell is null.

The separator is a comma, a semicolon, a tab or a vertical bar: the one that divides the first lines into the same
number of cells. A first line `sep=;`, as spreadsheets write it, names it.
"""

from __future__ import annotations

import csv
import io
import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import Protocol, TextIO

import pyarrow as pa

from labelflow.manifests.format import (
    MAX_ROW_BYTES,
    MAX_TEXT,
    REMARK,
    FormatError,
    ManifestFormat,
    ParsedManifest,
    check_unique_columns,
    row_too_large,
)
from labelflow.problems import Problem
from labelflow.records import ManifestRow

SEPARATORS = (",", ";", "\t", "|")
_SEPARATOR_NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}
SAMPLE_BYTES = 4096  # from which the separator is detected
_SEPARATOR_LINE = re.compile(rb"(?:\xef\xbb\xbf)?\"?sep=([,;\t|])\"?\r?\n")


class _StdlibReader(Protocol):
    """The type of `csv.reader`."""

    def __next__(self) -> list[str]: ...


class _LineRecorder:
    """Iterates over lines, and records the original text of the current row, which may span several lines.

    A line of more than MAX_ROW_BYTES characters becomes an empty one.
    size: the characters of the row. lines_read: of the file, so far.
    Raises csv.Error if several lines of a row have more together: a quote is probably not closed.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._row_lines: list[str] = []
        self.size = 0
        self.lines_read = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline(MAX_ROW_BYTES + 1)
        if not line:
            raise StopIteration
        self.size += len(line)
        self.lines_read += 1
        if len(line) > MAX_ROW_BYTES:
            self._row_lines.append(line[:MAX_TEXT])
            self._skip_line(line)
            return "\n"
        self._row_lines.append(line)
        if self.lines > 1 and self.size > MAX_ROW_BYTES:
            raise csv.Error("the row is too large")
        return line

    def _skip_line(self, line: str) -> None:
        while line and not line.endswith(("\n", "\r")):
            line = self._file.readline(MAX_ROW_BYTES)

    @property
    def lines(self) -> int:
        """Number of lines of the row."""
        return len(self._row_lines)

    @property
    def is_too_large(self) -> bool:
        """Whether the row is too large to be read."""
        return self.size > MAX_ROW_BYTES

    def reset(self) -> None:
        """Start a new row."""
        self._row_lines.clear()
        self.size = 0

    def text(self) -> str:
        """The text of the current row."""
        return _as_utf8("".join(self._row_lines)).rstrip("\r\n")


def _read(file: io.BufferedReader, first: int) -> ParsedManifest:
    csv.field_size_limit(MAX_ROW_BYTES)
    named = _SEPARATOR_LINE.match(file.peek(len(BOM_UTF8) + 8))
    separator = named[1].decode() if named else _detect_separator(file.peek(SAMPLE_BYTES)[:SAMPLE_BYTES])
    # An invalid UTF-8 byte becomes a lone surrogate, which is detected later: only its row is rejected.
    recorder = _LineRecorder(io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline=""))
    if named:
        next(recorder)
        recorder.reset()
    reader = csv.reader(recorder, delimiter=separator, strict=True)
    try:
        header = next(reader, None)
    except csv.Error as error:
        raise FormatError(f"has no readable header ({error})", "write the column names in the first line") from None
    if recorder.is_too_large:
        raise FormatError("has a first line that is too large", "write the column names in the first line")
    if header is None:
        return ParsedManifest(iter(()), None, None)
    _check_header(header)
    remark = f"the separator is {_SEPARATOR_NAMES[separator]}".encode()
    schema = pa.schema([(name, pa.string()) for name in header], metadata={REMARK: remark})
    return ParsedManifest(_rows(reader, recorder, header, first - 1, separator), header, schema)


def _check_header(header: list[str]) -> None:
    if any(not _is_utf8(name) or "\0" in name for name in header):
        raise FormatError("is not UTF-8 text", "save it as UTF-8")
    check_unique_columns(header)


def _rows(
    reader: _StdlibReader, recorder: _LineRecorder, header: list[str], number: int, separator: str
) -> Iterator[ManifestRow]:
    """The rows after the header. number: of the row before the first one."""
    while True:
        start = recorder.lines_read + 1
        recorder.reset()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if recorder.lines > 1:
                last = start + recorder.lines - 1
                reason = f"has an unclosed or misplaced quote: lines {start} to {last} are inside it"
                raise FormatError(reason, f"fix line {start}; {_quote_fix(recorder.text())}") from None
            number += 1
            problem = Problem("(line)", f"cannot be read ({error})", f"close its quotes; {_quote_fix(recorder.text())}")
            yield ManifestRow(number, {}, problem, recorder.text())
            continue
        if recorder.is_too_large:
            number += 1
            yield row_too_large(number, "(line)", {}, recorder.text())
        elif cells:
            number += 1
            yield _row(number, cells, header, recorder, separator)


def _quote_fix(text: str) -> str:
    if '\\"' in text:
        return 'double each quote inside a value, instead of \\": in Spark with option("escape", "\\"")'
    return "double each quote inside a value"


def _row(number: int, cells: list[str], header: list[str], recorder: _LineRecorder, separator: str) -> ManifestRow:
    values = {name: cell or None for name, cell in zip(header, cells, strict=False)}
    if len(cells) != len(header):
        reason = f"has {len(cells)} cells, expected {len(header)}; the separator is {_SEPARATOR_NAMES[separator]}"
        problem = Problem(
            "(line)", reason, "write one cell per column, even if it is empty; quote cells that contain the separator"
        )
        return ManifestRow(number, {}, problem, recorder.text())
    for name, cell in values.items():
        if cell is not None and not _is_utf8(cell):
            safe = {key: value and _as_utf8(value) for key, value in values.items()}
            return ManifestRow(number, safe, Problem(name, "is not UTF-8", "save the file as UTF-8"))
    return ManifestRow(number, values, size=recorder.size)


def _as_utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _detect_separator(sample: bytes) -> str:
    """The separator that divides most of the first lines into as many cells as the header, else the most cells."""
    lines = sample.decode("utf-8-sig", "replace").splitlines(keepends=True)
    complete = lines if len(sample) < SAMPLE_BYTES else lines[:-1]
    return max(SEPARATORS, key=lambda separator: _regularity(complete, separator))


def _regularity(lines: list[str], separator: str) -> tuple[int, int]:
    """How many of the lines have as many cells as the header, and how many that are; (0, 1) if it has one."""
    try:
        header, *rows = list(csv.reader(lines, delimiter=separator)) or [[]]
    except csv.Error:
        return 0, 1
    cells = len(header)
    return (sum(len(row) == cells for row in rows), cells) if cells > 1 else (0, 1)


def _matches(head: bytes) -> bool:
    """Whether the head of a file is text whose first line has several cells."""
    if _SEPARATOR_LINE.match(head):
        return True
    first_line, separator, _ = head.partition(b"\n")
    text = first_line.decode("utf-8-sig", "replace").rstrip("\r")
    is_text = bool(separator) and text.replace("\t", "").isprintable() and "\ufffd" not in text
    return is_text and not text.startswith(("{", "[", "<")) and any(each in text for each in SEPARATORS)


FORMAT = ManifestFormat((".csv", ".tsv"), _matches, _read)
