"""Read a YAML 1.2 file safely: duplicate keys, cycles and alias bombs are rejected."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.nodes import ScalarNode

from labelflow.errors import InvalidInput, StorageError
from labelflow.problems import one_line

MAX_NODES = 400_000  # values in a config with its aliases expanded; a long text counts as several
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class ScalarAsWritten:
    """A number or boolean as it is written: `1.0` may be a number or the text of a label."""

    value: bool | int | float
    source: str


def read_yaml(path: str) -> dict[str, Any]:
    """Return the mapping in a YAML file, on disk or in S3. Raises InvalidInput with the file and, if known, the line.

    Its numbers and booleans are `ScalarAsWritten`s; see `labelflow.jobs.scalars_as_text`.
    """
    text = _read_text(path)
    try:
        document = _parser().load(text)
        _check_size(document)
        json.dumps(document, ensure_ascii=False, default=str).encode()  # fails for cycles and for lone surrogates
    except Exception as error:  # the parser raises many types for invalid values of a tag
        mark = getattr(error, "problem_mark", None)
        location = f"{path}, line {mark.line + 1}" if mark else path
        reason = one_line(str(getattr(error, "problem", None) or error)).partition(" with value ")[0]
        fix = "correct it; quote texts that contain `: ` or {"
        raise InvalidInput(location, f"is not valid YAML ({reason or type(error).__name__})", fix) from None
    if not isinstance(document, dict):
        raise InvalidInput(path, "is not a job", "write a mapping with the keys name, manifest, task and output")
    return document


def _read_text(path: str) -> str:
    fix = "give the path or s3:// URI of a job's YAML file"
    try:
        content = _read_s3(path) if path.startswith("s3://") else Path(path).read_bytes()
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        raise InvalidInput(path, "there is no such file", fix) from None
    except UnicodeDecodeError:
        raise InvalidInput(path, "is not UTF-8 text", "save the config as UTF-8") from None
    except OSError as error:
        raise InvalidInput(path, f"cannot be read ({error.strerror})", fix) from None
    except (StorageError, ValueError) as error:
        raise InvalidInput(path, f"cannot be read ({error})", fix) from None


def _read_s3(uri: str) -> bytes:
    from labelflow.storage.s3_folder import S3Folder  # boto3 is slow to import

    folder, _, name = uri.rpartition("/")
    content = S3Folder(folder).read(name)
    if content is None:
        raise FileNotFoundError(uri)
    return content


class _Constructor(SafeConstructor):
    """Keeps how numbers and booleans are written. Dates and `=` are texts, as in YAML 1.2."""


def _scalar(constructor: _Constructor, node: ScalarNode) -> ScalarAsWritten:
    construct = SafeConstructor.yaml_constructors[node.tag]
    return ScalarAsWritten(construct(constructor, node), node.value)


def _text(constructor: _Constructor, node: ScalarNode) -> str:
    return str(node.value)


for _kind in ("bool", "int", "float"):
    _Constructor.add_constructor(_TAG + _kind, _scalar)
for _kind in ("timestamp", "value", "merge"):
    _Constructor.add_constructor(_TAG + _kind, _text)


def _parser() -> YAML:
    parser = YAML(typ="safe", pure=True)
    parser.Constructor = _Constructor
    return parser


def _check_size(document: Any) -> None:
    """Raises ValueError if aliases expand a small file to a huge document."""
    size, stack = 0, [document]
    while stack:
        value = stack.pop()
        size += 1 + len(value) // 32 if isinstance(value, str) else 1
        if size > MAX_NODES:
            raise ValueError("its aliases expand to too many values")
        if isinstance(value, dict | list | tuple | set):
            stack += [*value, *value.values()] if isinstance(value, dict) else value
