"""Signatures are removed from texts."""

from __future__ import annotations

import pytest

from labelflow.redaction import strip_signatures

SIGNED = (
    "https://b.s3.amazonaws.com/k%2Fa.jpg?v=2&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F2026"
    "&X-Amz-Date=20261123T000000Z&X-Amz-Expires=604800&X-Amz-SignedHeaders=host&X-Amz-Signature=5ec2e7"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SIGNED, "https://b.s3.amazonaws.com/k%2Fa.jpg?v=2"),
        (SIGNED.replace("v=2&", ""), "https://b.s3.amazonaws.com/k%2Fa.jpg"),
        (f'{{"url": "{SIGNED}"}}', '{"url": "https://b.s3.amazonaws.com/k%2Fa.jpg?v=2"}'),
        (f"{SIGNED}&w=3 answered 403", "https://b.s3.amazonaws.com/k%2Fa.jpg?v=2&w=3 answered 403"),
        ("https://x.example/?a=1&b=2", "https://x.example/?a=1&b=2"),
        ("no URL, a = b", "no URL, a = b"),
    ],
)
def test_only_the_signature_is_removed(text: str, expected: str) -> None:
    assert strip_signatures(text) == expected
