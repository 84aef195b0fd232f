"""Row ids that a user lists in a file: for a cancellation, or for a relabeling."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from labelflow.errors import InvalidInput
from labelflow.manifests import open_manifest
from labelflow.planning.requests.task_requests import row_id_text
from labelflow.storage.opening import open_output

_WHOLE_FLOAT = re.compile(r"(-?\d+)\.0+")
_ENCODINGS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def read_row_ids(uri: str, column: str) -> list[str]:
    """Read row ids from a manifest or, if the name ends in `.txt`, from a text file with one id per line.

    uri: path or s3:// URI. column: the row id column of a manifest. Raises InvalidInput if there is no id.
    """
    row_ids = _read_lines(uri) if uri.lower().endswith(".txt") else _read_manifest(uri, column)
    if not row_ids:
        raise InvalidInput(uri, "contains no row id", "write one row id per line")
    return row_ids


def match_row_ids(
    row_ids: Sequence[str], is_known: Callable[[Sequence[str]], Sequence[bool]]
) -> tuple[list[str], list[str]]:
    """Return the known ids that a list names, and those of the list that name none.

    An id names itself. Only if it is not known it may be padded, quoted, or a whole number that pandas wrote as `1.0`.
    is_known: whether each of some ids is the id of a row.

    >>> match_row_ids([" a", "1.0", "x"], lambda ids: [id in ("a", "1") for id in ids])
    (['a', '1'], ['x'])
    """
    matched: dict[str, None] = {}
    unmatched = list(dict.fromkeys(row_ids))
    for form in (str, str.strip, _unquote, _whole_number):
        forms = [form(row_id) for row_id in unmatched]
        known = list(is_known(forms))
        matched.update(dict.fromkeys(text for text, found in zip(forms, known, strict=True) if found))
        unmatched = [row_id for row_id, found in zip(unmatched, known, strict=True) if not found]
    return list(matched), unmatched


def _read_manifest(uri: str, column: str) -> list[str]:
    manifest = open_manifest(uri)
    if column not in manifest.schema.names:
        fix = "name a manifest of the job, or a .txt file of row ids"
        raise InvalidInput(uri, f"has no column {column!r}", fix)
    row_ids = (row_id_text(row.values.get(column), column) for row in manifest.rows if not row.problem)
    return [row_id for row_id in row_ids if isinstance(row_id, str)]


def _read_lines(uri: str) -> list[str]:
    path = uri if "://" in uri else str(Path(uri).expanduser().resolve())
    folder, _, name = path.rpartition("/")
    content = open_output(folder or ".").read(name)
    if content is None:
        raise InvalidInput(uri, "there is no such file", "correct the path")
    encoding = next((name for mark, name in _ENCODINGS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        raise InvalidInput(uri, "is not UTF-8 or UTF-16 text", "save it as UTF-8") from None
    return list(_lines(text))


def _lines(text: str) -> Iterator[str]:
    """The lines that are not blank. Only a line feed ends a line: an id may contain U+2028."""
    for line in text.split("\n"):
        if line.strip():
            yield line.removesuffix("\r")


def _unquote(row_id: str) -> str:
    text = row_id.strip()
    return text[1:-1].replace('""', '"') if len(text) > 1 and text[0] == text[-1] == '"' else text


def _whole_number(row_id: str) -> str:
    match = _WHOLE_FLOAT.fullmatch(_unquote(row_id))
    return match[1] if match else row_id
