"""JSON Lines: one JSON object per line, UTF-8. An invalid line becomes a row with a problem."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

import orjson

from labelflow.lenient_json import parse_exact_json
from labelflow.manifests.format import FormatError, ManifestFormat, ParsedManifest
from labelflow.problems import Problem
from labelflow.records import ManifestRow

MAX_LINE_BYTES = 16 << 20  # a longer line is invalid; the file probably has another format
_FIX = "write one JSON object per line"


def _read(file: BinaryIO) -> ParsedManifest:
    rows = _rows(file)
    first = next(rows, None)
    if first is None:
        return ParsedManifest(iter(()), None, None)
    if first.problem is not None:
        raise FormatError(f"is not a JSON Lines file: its first line {first.problem.reason}", _FIX)
    return ParsedManifest(chain([first], rows), None, None)


def _rows(file: BinaryIO) -> Iterator[ManifestRow]:
    number = 0
    for line in _lines(file):
        if line.isspace():
            continue
        number += 1
        yield _row(number, line)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    line = file.readline(MAX_LINE_BYTES).removeprefix(b"\xef\xbb\xbf")
    if line[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise FormatError("is UTF-16 text", "save it as UTF-8")
    while line:
        yield line
        while len(line) >= MAX_LINE_BYTES and not line.endswith(b"\n"):  # skip the rest of an overlong line
            line = file.readline(MAX_LINE_BYTES)
        line = file.readline(MAX_LINE_BYTES)


def _row(number: int, line: bytes) -> ManifestRow:
    try:
        values = parse_exact_json(line)
    except orjson.JSONDecodeError as error:
        reason = _reason(line, error)
        return ManifestRow(number, {}, Problem("(line)", reason, _FIX), line.decode("utf-8", "replace").strip())
    if not isinstance(values, dict):
        reason = "is JSON, but not an object"
        return ManifestRow(number, {}, Problem("(line)", reason, _FIX), line.decode("utf-8", "replace").strip())
    return ManifestRow(number, values)


def _reason(line: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as decode_error:
        return f"is not UTF-8 (byte {decode_error.start + 1})"
    return f"is not valid JSON ({error.msg.split(':')[0]}, character {error.pos + 1})"


FORMAT = ManifestFormat((".jsonl", ".ndjson"), _read)
