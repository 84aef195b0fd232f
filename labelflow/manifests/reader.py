"""Open a manifest by its URI, and determine its schema before the first row is used."""

from __future__ import annotations

import importlib
import io
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa

from labelflow.errors import RunAborted, UsageError
from labelflow.manifests.format import FormatError, ManifestFormat, ParsedManifest
from labelflow.problems import one_line
from labelflow.records import ManifestRow
from labelflow.storage import s3, s3_errors

PEEK_ROWS = 1000  # rows from which the schema is inferred if the format has none
_NOT_FORMATS = {"format", "reader"}  # modules of this package
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
    """Open a manifest on disk or in S3. Raises UsageError if it is missing, empty, or not of the format of its suffix.

    Example:
        manifest = open_manifest("s3://bucket/images.csv")
        for row in manifest.rows:
            print(row.number, row.values)
    """
    manifest_format = _format_of(uri)
    file = _open(uri)
    try:
        parsed = manifest_format.read(file)
        first_rows = list(islice(parsed.rows, PEEK_ROWS))
    except FormatError as error:
        raise UsageError(uri, error.reason, error.fix) from None
    except (pa.ArrowException, OSError) as error:
        raise UsageError(uri, f"cannot be read ({one_line(str(error))})", "check that the file is complete") from None
    if not first_rows:
        raise UsageError(uri, "has no rows", "add one row per item to be labeled")
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


def _format_of(uri: str) -> ManifestFormat:
    formats: list[ManifestFormat] = [
        importlib.import_module(f"{__package__}.{module.name}").FORMAT
        for module in pkgutil.iter_modules([str(Path(__file__).parent)])
        if module.name not in _NOT_FORMATS
    ]
    for candidate in formats:
        if uri.lower().endswith(candidate.suffixes):
            return candidate
    suffixes = ", ".join(suffix for each in formats for suffix in each.suffixes)
    raise UsageError(uri, "has an unknown format", f"use a file with one of the suffixes {suffixes}")


def _open(uri: str) -> BinaryIO:
    if uri.startswith("s3://"):
        return _open_s3(uri)
    try:
        return Path(uri).open("rb")
    except FileNotFoundError:
        raise UsageError(uri, "there is no such file", "correct manifest.uri") from None
    except OSError as error:
        raise UsageError(uri, f"cannot be opened ({error.strerror})", "correct manifest.uri") from None


def _open_s3(uri: str) -> BinaryIO:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return cast(BinaryIO, io.BufferedReader(s3.open_ranged(uri), 1 << 20))
    except (BotoCoreError, ClientError, FileNotFoundError, ValueError) as error:
        problem = s3_errors.explain(error, uri)
        raise UsageError(uri, problem.reason, problem.fix) from None


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
