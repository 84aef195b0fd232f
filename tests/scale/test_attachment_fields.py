"""Which values of a task are attachments, wherever they are in its parameters."""

from __future__ import annotations

from typing import Any

import pytest

from labelflow.scale.task_types import replace_values, task_type

URL = "https://media.example.com/a"
CASES: list[tuple[str, dict[str, Any], list[tuple[str, str]]]] = [
    ("annotation", {"attachment": URL}, [("attachment", "image")]),
    ("categorization", {"attachment_type": "text", "attachment": "s3://b/k"}, [("attachment", "text")]),
    (
        "comparison",
        {"attachment_type": "audio", "attachments": [URL, URL]},
        [("attachments[0]", "audio"), ("attachments[1]", "audio")],
    ),
    (
        "untyped",
        {"attachments": [{"type": "audio", "content": URL}, {"type": "text", "content": "hello"}, {"content": 7}]},
        [("attachments[0].content", "audio"), ("attachments[1].content", "text")],
    ),
    ("untyped", {"attachment": URL, "attachment_type": "video", "context_attachments": [{"attachment": URL}]},
     [("attachment", "video"), ("context_attachments[0].attachment", "unknown")]),
    ("untyped", {"hypothesis": {"masks": [{"image": "s3://b/k.png"}]}}, [("hypothesis.masks[0].image", "unknown")]),
    ("untyped", {"layers": ["s3://b/a k.png"]}, [("layers[0]", "unknown")]),
    ("untyped", {"instruction": "Compare with s3://b/k.png, please", "attachments": None}, []),
    ("untyped", {"title": "s3://b/k.png shows a car", "note": "s3://b/k.png or s3://b/l.png", "x": "s3://b"}, []),
]  # fmt: skip


@pytest.mark.parametrize(("name", "params", "expected"), CASES)
def test_attachments_are_found_with_their_kind(
    name: str, params: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    found = task_type(name).find_attachments(params)
    assert [(attachment.field, attachment.kind) for attachment in found] == expected


def test_values_are_replaced_in_a_copy() -> None:
    params: dict[str, Any] = {"attachments": [{"content": "a", "type": "image"}, {"content": "b"}], "other": {"x": 1}}
    replaced = replace_values(params, {("attachments", 1, "content"): "c"})
    assert replaced == {"attachments": [{"content": "a", "type": "image"}, {"content": "c"}], "other": {"x": 1}}
    assert params["attachments"][1] == {"content": "b"}
