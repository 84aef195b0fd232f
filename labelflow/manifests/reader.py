"""Open a manifest by its URI, and determine its schema before the first row is used."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from labelflow.batches import next_batch
from labelflow.errors import InvalidInput, RunAborted
from labelflow.manifests.compression import decompress
from labelflow.manifests.format import FormatError, ParsedManifest
from labelflow.manifests.formats import HEAD_BYTES, format_of
from labelflow.problems import one_line
from labelflow.records import ManifestRow
from labelflow.storage import s3, s3_errors

PEEK_ROWS = 1000  # rows from which the schema is inferred if the format has none
PEEK_BYTES = 16 << 20  # fewer rows, if they are large
_INCOMPLETE_TYPE = re.compile(r"\bnull\b|struct<>")  # inferred only from nulls, empty lists or empty objects


@dataclass(frozen=True, slots=True)
class Manifest:
    """An open manifest.

    rows: can be iterated once; invalid rows have a problem. Raises RunAborted if the file cannot be read further.
    schema: the Arrow types of the columns.
    """

    uri: str
    schema: pa.Schema
    rows: Iterator[ManifestRow]


def open_manifest(uri: str) -> Manifest:
    """Open a manifest on disk or in S3. Raises InvalidInput if it is missing or empty, or has no
    known format.

    Example:
        manifest = open_manifest("s3://bucket/images.csv")
        for row in manifest.rows:
            print(row.number, row.values)
    """
    file = _open(uri)
    try:
        file = decompress(file)
        parsed = format_of(uri, file.peek(HEAD_BYTES)[:HEAD_BYTES]).read(file, 1)
        first_rows = next_batch(parsed.rows, lambda row: row.size, PEEK_ROWS, PEEK_BYTES)
    except FormatError as error:
        raise InvalidInput(uri, error.reason, error.fix) from None
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(uri, f"cannot be read ({one_line(str(error))})", "check that the file is complete") from None
    if not first_rows:
        raise InvalidInput(uri, "has no rows", "add one row per item to be labeled")
    schema = parsed.schema if parsed.schema is not None else _infer_schema(first_rows)
    return Manifest(uri, schema, chain(first_rows, _rest(uri, parsed, first_rows[-1].number)))


def _rest(uri: str, parsed: ParsedManifest, number: int) -> Iterator[ManifestRow]:
    try:
        for row in parsed.rows:
            number = row.number
            yield row
    except FormatError as error:
        raise RunAborted(f"{uri}: {error.reason}; {error.fix}") from None
    except (pa.ArrowException, OSError) as error:
        raise RunAborted(f"{uri}: cannot be read after row {number} ({one_line(str(error))})") from None


def _open(uri: str) -> io.BufferedReader:
    if uri.startswith("s3://"):
        return _open_s3(uri)
    try:
        return Path(uri).open("rb")
    except FileNotFoundError:
        raise InvalidInput(uri, "there is no such file", "correct manifest.uri") from None
    except OSError as error:
        raise InvalidInput(uri, f"cannot be opened ({error.strerror})", "correct manifest.uri") from None


def _open_s3(uri: str) -> io.BufferedReader:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return io.BufferedReader(s3.open_ranged(uri), 1 << 20)
    except (BotoCoreError, ClientError, FileNotFoundError, ValueError) as error:
        problem = s3_errors.explain(error, uri)
        raise InvalidInput(uri, problem.reason, problem.fix) from None


def _infer_schema(rows: list[ManifestRow]) -> pa.Schema:
    """Infer the schema from values. A column whose values have no common type, or an unknown one, is a string."""
    names = dict.fromkeys(name for row in rows for name in row.values)
    return pa.schema([pa.field(name, _type_of([row.values.get(name) for row in rows])) for name in names])


def _type_of(values: list[Any]) -> pa.DataType:
    try:
        inferred = pa.array(values).type
    except (pa.ArrowException, OverflowError):
        return pa.string()
    return pa.string() if _INCOMPLETE_TYPE.search(str(inferred)) else inferred
