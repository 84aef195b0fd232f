"""Read a YAML file safely: no duplicate keys, no cycles, no alias bombs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from labelflow.errors import UsageError
from labelflow.problems import one_line

MAX_NODES = 400_000  # values in a config, its aliases written out; a long text counts for several


def _read_yaml(path: str) -> dict[str, Any]:
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
        _refuse_bomb(document)
        json.dumps(document, ensure_ascii=False, default=str).encode()  # no cycle, no half of a character
    except Exception as error:  # a tag's value that is none of its type upsets PyYAML in many ways
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else path
        reason = one_line(str(getattr(error, "problem", None) or error)) or type(error).__name__
        raise UsageError(where, f"is no valid YAML ({reason})", "correct it; quote texts that hold `: ` or {") from None
    if not isinstance(document, dict):
        raise UsageError(path, "is not a job", "write keys and values: name, manifest, task, output")
    return document


def _refuse_bomb(document: Any) -> None:
    """Raises ValueError where aliases make a small file an endless document."""
    size, left = 0, [document]
    while left:
        value = left.pop()
        size += 1 + len(value) // 32 if isinstance(value, str) else 1
        if size > MAX_NODES:
            raise ValueError("its aliases make it too large")
        if isinstance(value, dict | list | tuple | set):
            left += [*value, *value.values()] if isinstance(value, dict) else value


class _Loader(yaml.SafeLoader):
    """YAML in which a key stands once: a second one would silently replace the first."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge `<<` in; what is merged many times is there once, or a few lines would make millions."""
        super().flatten_mapping(node)
        once = {
            (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else id(key): i
            for i, (key, _) in enumerate(node.value)
        }
        node.value = [node.value[i] for i in sorted(once.values())]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in keys and key.value != "<<":
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is there twice", key.start_mark
                )
            keys.add(str(key.value))
        return super().construct_mapping(node, deep)
