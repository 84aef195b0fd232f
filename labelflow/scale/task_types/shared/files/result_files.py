"""Results that a response does not contain: files behind URLs, such as masks and the frames of a video."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from labelflow.scale.task_types.shared.attachment_fields import Path


class ResultFile(NamedTuple):
    """A result file in a response. path: where its URL is, for `replace_values`."""

    path: Path
    url: str


@dataclass(frozen=True, slots=True)
class FakeFile:
    """A result file in a fake response, in the place of its URL. name: ends in the suffix of its format."""

    name: str
    content: bytes
    content_type: str


def find_result_files(response: Any, patterns: tuple[str, ...]) -> list[ResultFile]:
    """Return the result files in a decoded response, in the order of the patterns.

    patterns: keys from the outside in, such as `annotations.labeled.*`. `*` is any key. Lists have no key: a pattern
        goes on in each of their items. A value that is not a URL is not a file.

    >>> find_result_files({"annotations": {"url": "https://host/a.json"}}, ("annotations.url",))
    [ResultFile(path=('annotations', 'url'), url='https://host/a.json')]
    """
    return [file for pattern in patterns for file in _walk(response, pattern.split("."), ())]


def place_files(response: Any, save: Callable[[FakeFile], str]) -> Any:
    """Return a fake response with a URL in the place of each file. save: stores a file and returns its URL."""
    if isinstance(response, FakeFile):
        return save(response)
    if isinstance(response, dict):
        return {key: place_files(value, save) for key, value in response.items()}
    return [place_files(item, save) for item in response] if isinstance(response, list) else response


def _walk(value: Any, keys: list[str], path: Path) -> Iterator[ResultFile]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(item, keys, (*path, index))
    elif not keys:
        if isinstance(value, str) and _is_url(value):
            yield ResultFile(path, value)
    elif isinstance(value, Mapping):
        for key in list(value) if keys[0] == "*" else [keys[0]]:
            yield from _walk(value.get(key), keys[1:], (*path, key))


def _is_url(text: str) -> bool:
    try:
        return urlsplit(text).scheme.lower() in ("http", "https")
    except ValueError:
        return False
