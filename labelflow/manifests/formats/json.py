"""JSON: one object per line, or one array of objects. UTF-8. An invalid line or element becomes a row with a problem.

The first character decides which of the two a file is. Augmented manifests of SageMaker Ground Truth are JSON Lines.
"""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Iterator
from io import BufferedReader
from itertools import chain
from typing import Any

import orjson

from labelflow.lenient_json import dump_json, parse_exact_json
from labelflow.manifests.format import (
    MAX_ROW_BYTES,
    MAX_TEXT,
    FormatError,
    ManifestFormat,
    ParsedManifest,
    row_too_large,
)
from labelflow.manifests.json_elements import NotAnArray, array_elements
from labelflow.problems import Problem
from labelflow.records import ManifestRow

_ENCODING_FIX = "save the file as UTF-8"
_FIX = "write one JSON object per line, or an array of objects"


def _read(file: BufferedReader, first: int) -> ParsedManifest:
    head = file.peek(len(BOM_UTF8))
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FormatError("is UTF-16 text", "save it as UTF-8")
    if head.startswith(BOM_UTF8):
        file.read(len(BOM_UTF8))
    start = _skip_space(file)
    rows = _elements(file, first) if start == b"[" else _lines(file, first)
    row = next(rows, None)
    if row is None:
        return ParsedManifest(iter(()), None, None)
    if row.problem is not None and not _is_long_object(row):
        kind, part = ("array of JSON objects", "element") if start == b"[" else ("JSON Lines file", "line")
        raise FormatError(f"is not {_article(kind)} {kind}: its first {part} {row.problem.reason}", row.problem.fix)
    return ParsedManifest(chain([row], rows), None, None)


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def _skip_space(file: BufferedReader) -> bytes:
    """Read the space before the content. Returns the first byte after it, which is not read."""
    while head := file.peek(1):
        rest = head.lstrip()
        file.read(len(head) - len(rest))
        if rest:
            return rest[:1]
    return b""


def _is_long_object(row: ManifestRow) -> bool:
    """Whether the first row is too large, and starts like an object."""
    return row.text is not None and row.text.startswith("{") and len(row.text) == MAX_TEXT


def _lines(file: BufferedReader, number: int) -> Iterator[ManifestRow]:
    """The rows of JSON Lines. number: of the first one."""
    while line := file.readline(MAX_ROW_BYTES + 2):
        if line.isspace():
            continue
        if len(line) > MAX_ROW_BYTES:
            yield row_too_large(number, "(line)", {}, _start_of(line))
            while line and not line.endswith(b"\n"):  # skip the rest
                line = file.readline(MAX_ROW_BYTES + 2)
        else:
            yield _row(number, "(line)", line)
        number += 1


def _elements(file: BufferedReader, number: int) -> Iterator[ManifestRow]:
    """The rows of an array. number: of the first one."""
    try:
        for element in array_elements(file, MAX_ROW_BYTES + 1):
            if len(element) > MAX_ROW_BYTES:
                yield row_too_large(number, "(row)", {}, _start_of(element))
            else:
                yield _row(number, "(row)", element)
            number += 1
    except NotAnArray as error:
        raise FormatError(f"is not a complete JSON array: it {error}", "write the file again") from None


def _start_of(line: bytes) -> str:
    return line[: 4 * MAX_TEXT].decode("utf-8", "replace").strip()


def _row(number: int, field: str, content: bytes) -> ManifestRow:
    try:
        values = _parse(content)
    except orjson.JSONDecodeError as error:
        reason = _reason(content, error)
        problem = Problem(field, reason, _ENCODING_FIX if "UTF-8" in reason else _FIX)
        return ManifestRow(number, {}, problem, content.decode("utf-8", "replace").strip())
    if not isinstance(values, dict):
        problem = Problem(field, "is JSON, but not an object", _FIX)
        return ManifestRow(number, {}, problem, content.decode("utf-8", "replace").strip())
    return ManifestRow(number, values, size=len(content))


def _parse(content: bytes) -> Any:
    """Parse a row. `NaN` and `Infinity`, as pandas writes them, are null. Raises orjson.JSONDecodeError."""
    try:
        return parse_exact_json(content)
    except orjson.JSONDecodeError:
        if b"NaN" not in content and b"Infinity" not in content:
            raise
    try:
        values = json.loads(content, parse_constant=lambda _: None)
        dump_json(values)
    except (ValueError, TypeError, RecursionError):
        return parse_exact_json(content)  # raises the first error
    return values


def _reason(line: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as decode_error:
        return f"is not UTF-8 (byte {decode_error.start + 1})"
    return f"is not valid JSON ({error.msg.split(':')[0]}, character {error.pos + 1})"


def _matches(head: bytes) -> bool:
    return head.removeprefix(BOM_UTF8).lstrip().startswith((b"{", b"["))


FORMAT = ManifestFormat((".jsonl", ".ndjson", ".json", ".manifest"), _matches, _read)
