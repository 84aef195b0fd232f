"""Open a manifest by its URI, and know its columns before the first row is used."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa

import labelflow.manifests as package
from labelflow.errors import RunAborted, UsageError
from labelflow.manifests.format import FormatError, ManifestFormat, ParsedManifest
from labelflow.problems import one_line
from labelflow.records import ManifestRow
from labelflow.storage import s3, s3_errors

PEEK_ROWS = 1000  # rows from which columns and types are told, where the format does not say
_NOT_FORMATS = {"format", "reader"}
_UNKNOWN = re.compile(r"\bnull\b|struct<>")  # types of which no value has told more


@dataclass(frozen=True, slots=True)
class Manifest:
    """An open manifest. `rows` can be read once; `schema` has the Arrow types of its columns."""

    uri: str
    schema: pa.Schema
    rows: Iterator[ManifestRow]


def open_manifest(uri: str) -> Manifest:
    """Open a manifest on disk or in S3. Raises UsageError where it is missing, empty or not what it says."""
    kind = _format_of(uri)
    file = _open(uri)
    try:
        reading = kind.read(file)
        first = list(islice(reading.rows, PEEK_ROWS))
    except FormatError as error:
        raise UsageError(uri, error.reason, error.fix) from None
    except (pa.ArrowException, OSError) as error:
        raise UsageError(uri, f"cannot be read ({one_line(str(error))})", "check that the file is whole") from None
    if not first:
        raise UsageError(uri, "holds no rows", "give it one row per thing to be labeled")
    schema = reading.schema if reading.schema is not None else _infer(first)
    return Manifest(uri, schema, chain(first, _rest(uri, reading, first[-1].number)))


def _rest(uri: str, reading: ParsedManifest, number: int) -> Iterator[ManifestRow]:
    try:
        for row in reading.rows:
            number = row.number
            yield row
    except FormatError as error:
        raise RunAborted(f"{uri}: {error.reason}; {error.fix}") from None
    except (pa.ArrowException, OSError) as error:
        raise RunAborted(f"{uri}: cannot be read after row {number} ({one_line(str(error))})") from None


def _format_of(uri: str) -> ManifestFormat:
    formats: list[ManifestFormat] = [
        importlib.import_module(f"{package.__name__}.{module.name}").FORMAT
        for module in pkgutil.iter_modules(package.__path__)
        if module.name not in _NOT_FORMATS
    ]
    for kind in formats:
        if uri.lower().endswith(kind.suffixes):
            return kind
    suffixes = ", ".join(suffix for kind in formats for suffix in kind.suffixes)
    raise UsageError(uri, "is of no known manifest format", f"use a file that ends in one of {suffixes}")


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
    import io

    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return cast(BinaryIO, io.BufferedReader(s3.open_ranged(uri), 1 << 20))
    except (BotoCoreError, ClientError, FileNotFoundError, ValueError) as error:
        explained = s3_errors.explain(error, uri)
        raise UsageError(uri, explained.reason, explained.fix) from None


def _infer(rows: list[ManifestRow]) -> pa.Schema:
    """Types told from values: JSON has no others. A column of mixed or no types is text."""
    names = dict.fromkeys(name for row in rows for name in row.values)
    return pa.schema([pa.field(name, _type_of([row.values.get(name) for row in rows])) for name in names])


def _type_of(values: list[Any]) -> pa.DataType:
    try:
        found = pa.array(values).type
    except (pa.ArrowException, OverflowError):
        return pa.string()
    return pa.string() if _UNKNOWN.search(str(found)) else found
