"""Which values of a task's parameters are attachments, and how they are found and replaced."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

Path = tuple[str | int, ...]  # keys and indexes, from the outside in

# A text may begin with a URI: with spaces only what ends like a file is one.
_S3_URI = re.compile(r"s3://[^/\s]+/(?:\S+|(?:(?!://)[^\r\n])+\.\w{1,8})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AttachmentField:
    """Where a type has attachments.

    path: keys, with `[]` after a list: `attachments[].content`.
    kind: what is at the URL; `text` for a value that is itself the content.
    kind_key: the key, beside the value or of the whole task, that tells another kind.
    """

    path: str
    kind: str = "unknown"
    kind_key: str | None = None


class FoundAttachment(NamedTuple):
    """An attachment in the parameters of a task. value: a URL, or the content if `kind` is `text`."""

    path: Path
    value: str
    kind: str

    @property
    def field(self) -> str:
        """The path for a message: `attachments[0].content`."""
        return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in self.path).removeprefix(".")

    @property
    def is_in_s3(self) -> bool:
        """Whether it is an `s3://` URI, and not a text."""
        return self.kind != "text" and is_s3_uri(self.value)


ATTACHMENT = AttachmentField("attachment", kind_key="attachment_type")
ATTACHMENTS = AttachmentField("attachments[]", kind_key="attachment_type")
CONTENTS = AttachmentField("attachments[].content", kind_key="type")
CONTEXT = AttachmentField("context_attachments[].attachment")
ANY_ATTACHMENTS = (ATTACHMENT, ATTACHMENTS, CONTENTS, CONTEXT)


def find_attachments(
    params: Mapping[str, Any], fields: tuple[AttachmentField, ...], default_kind: str | None = None
) -> list[FoundAttachment]:
    """Return the attachments in the parameters of a task, those in declared fields first, in their order.

    A complete `s3://` URI anywhere else is an attachment, too.

    default_kind: of `attachment_type`, where the task does not have it.

    >>> [found] = find_attachments({"attachments": [{"type": "audio", "content": "https://host/a.wav"}]}, (CONTENTS,))
    >>> found.field, found.kind
    ('attachments[0].content', 'audio')
    """
    found: list[FoundAttachment] = []
    for field in fields:
        default = default_kind if default_kind and field.kind_key == "attachment_type" else field.kind
        for path, value, parent in _walk(params, field.path.replace("[]", ".[]").split("."), ()):
            found.append(FoundAttachment(path, value, _kind(field.kind_key, parent, params) or default))
    declared = {attachment.path for attachment in found}
    return found + [FoundAttachment(path, uri, "unknown") for path, uri in _s3_uris(params, ()) if path not in declared]


def replace_values(params: Mapping[str, Any], values: Mapping[Path, Any]) -> dict[str, Any]:
    """Return the parameters with other values at some paths. The parameters themselves are not changed."""
    inner = {path[:length] for path in values for length in range(len(path))}

    def replaced(value: Any, path: Path) -> Any:
        if path in values:
            return values[path]
        if path not in inner:
            return value
        if isinstance(value, Mapping):
            return {key: replaced(item, (*path, key)) for key, item in value.items()}
        return [replaced(item, (*path, index)) for index, item in enumerate(value)]

    return replaced(params, ()) if values else dict(params)


def is_s3_uri(text: str) -> bool:
    """Return whether a text starts with `s3://`, in upper or lower case."""
    return text[:5].lower() == "s3://"


def _walk(value: Any, keys: list[str], path: Path, parent: Any = None) -> Iterator[tuple[Path, str, Any]]:
    """Yield the path, the value and its parent of every text at a path of keys."""
    if not keys:
        if isinstance(value, str):
            yield path, value, parent
    elif keys[0] == "[]":
        for index, item in enumerate(value if isinstance(value, list) else []):
            yield from _walk(item, keys[1:], (*path, index), value)
    elif isinstance(value, Mapping):
        yield from _walk(value.get(keys[0]), keys[1:], (*path, keys[0]), value)


def _kind(key: str | None, parent: Any, params: Mapping[str, Any]) -> str | None:
    for holder in (parent, params):
        if key and isinstance(holder, Mapping) and isinstance(holder.get(key), str):
            return str(holder[key])
    return None


def _s3_uris(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        if is_s3_uri(value) and _S3_URI.fullmatch(value):
            yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _s3_uris(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _s3_uris(item, (*path, index))
