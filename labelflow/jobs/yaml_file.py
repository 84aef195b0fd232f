"""Read a YAML file safely: duplicate keys, cycles and alias bombs are rejected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from labelflow.errors import UsageError
from labelflow.problems import one_line

MAX_NODES = 400_000  # values in a config with its aliases expanded; a long text counts as several


def read_yaml(path: str) -> dict[str, Any]:
    """Return the mapping in a YAML file. Raises UsageError with the file and, if known, the line."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(path, "there is no such file", "give the path of a job's YAML file") from None
    except UnicodeDecodeError:
        raise UsageError(path, "is not UTF-8 text", "save the config as UTF-8") from None
    except OSError as error:
        raise UsageError(path, f"cannot be read ({error.strerror})", "give the path of a job's YAML file") from None
    try:
        document = yaml.load(text, _Loader)
        _check_size(document)
        json.dumps(document, ensure_ascii=False, default=str).encode()  # fails for cycles and for lone surrogates
    except Exception as error:  # PyYAML raises many types for invalid values of a tag
        mark = getattr(error, "problem_mark", None)
        location = f"{path}, line {mark.line + 1}" if mark else path
        reason = one_line(str(getattr(error, "problem", None) or error)) or type(error).__name__
        fix = "correct it; quote texts that contain `: ` or {"
        raise UsageError(location, f"is not valid YAML ({reason})", fix) from None
    if not isinstance(document, dict):
        raise UsageError(path, "is not a job", "write a mapping with the keys name, manifest, task and output")
    return document


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


class _Loader(yaml.SafeLoader):
    """A loader that rejects duplicate keys: PyYAML would silently keep the last one."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge `<<` and keep one entry per key: nested merges would multiply the entries into millions."""
        super().flatten_mapping(node)
        unique = {
            (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else id(key): i
            for i, (key, _) in enumerate(node.value)
        }
        node.value = [node.value[i] for i in sorted(unique.values())]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in keys and key.value != "<<":
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key.value!r}", key.start_mark)
            keys.add(str(key.value))
        return super().construct_mapping(node, deep)
