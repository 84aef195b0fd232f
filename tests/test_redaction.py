"""Signatures of URLs are removed from texts, and nothing else."""

from __future__ import annotations

import json
import pickle
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from labelflow.errors import InvalidInput
from labelflow.redaction import redact_errors, strip_signatures, strip_signatures_in, to_redacted_json

AWS = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F2026&X-Amz-Date=20261123T000000Z&X-Amz-Expires=604800"
    "&X-Amz-SignedHeaders=host%3Bx-amz-date&X-Amz-Security-Token=t0ken%2F%3D&X-Amz-Signature=5ec2e7"
)
SIGNATURES = {
    "aws v4": AWS,
    "aws v2": "AWSAccessKeyId=AKIA&Expires=1700000000&Signature=5ec2e7%2B%3D",
    "cloudfront": "Expires=1700000000&Signature=5ec2e7~-_&Key-Pair-Id=APKA",
    "cloudfront policy": "Policy=eyJ_&Signature=5ec2e7__&Key-Pair-Id=APKA",
    "gcs v4": "X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential=a%40b&X-Goog-Date=2026&X-Goog-Expires=9"
    "&X-Goog-SignedHeaders=host&X-Goog-Signature=5ec2e7",
    "gcs v2": "GoogleAccessId=a%40b.iam&Expires=1700000000&Signature=5ec2e7%2B",
    "azure": "sv=2026-01-01&st=2026-11-23T00%3A00%3A00Z&se=2026-11-24T00:00:00Z&sr=b&sp=r&sig=5ec2e7%2F%3D",
}
AMPERSANDS = ["&", "&amp;", "&amp;amp;", "&#38;", "&#x26;", "%26", "%2526", "\\u0026", "\\\\u0026", "\\x26"]
EQUALS_SIGNS = ["=", "%3D", "%253D", "&#61;", "&#x3D;", "&equals;", "\\u003d", "\\\\u003D", "\\x3d"]
SIGNED = f"https://b.s3.amazonaws.com/k%2Fa.jpg?v=2&{AWS}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SIGNED, "https://b.s3.amazonaws.com/k%2Fa.jpg?v=2"),
        (SIGNED.replace("v=2&", ""), "https://b.s3.amazonaws.com/k%2Fa.jpg"),
        (SIGNED.replace("v=2&", "") + "#top", "https://b.s3.amazonaws.com/k%2Fa.jpg#top"),
        (f'{{"url": "{SIGNED}"}}', '{"url": "https://b.s3.amazonaws.com/k%2Fa.jpg?v=2"}'),
        (f"{SIGNED}&w=3 answered 403", "https://b.s3.amazonaws.com/k%2Fa.jpg?v=2&w=3 answered 403"),
        (f"Is it open? ({SIGNED}). A && B", "Is it open? (https://b.s3.amazonaws.com/k%2Fa.jpg?v=2). A && B"),
        (
            f"a {SIGNED},{SIGNED}; b",
            "a https://b.s3.amazonaws.com/k%2Fa.jpg?v=2,https://b.s3.amazonaws.com/k%2Fa.jpg?v=2; b",
        ),
        (f"Max retries exceeded with url: /k.jpg?{AWS} (x)", "Max retries exceeded with url: /k.jpg (x)"),
        (f"https://p/?url=https://b/k?{AWS}&w=3", "https://p/?url=https://b/k?w=3"),
        (
            "https://p/?url=https%3A%2F%2Fb%2Fk%3F"
            + AWS.replace("%", "%25").replace("&", "%26").replace("=", "%3D")
            + "&w=3",
            "https://p/?url=https%3A%2F%2Fb%2Fk&w=3",
        ),
        (f"https://b/it's.jpg?{AWS}", "https://b/it's.jpg"),
        (f"https://b/my photo.jpg?v=2&{AWS}#top", "https://b/my photo.jpg?v=2#top"),
        (f'GET https://b/my "best" photo.jpg?{AWS} failed', 'GET https://b/my "best" photo.jpg failed'),
        (f"https://b/k?who=it's me&{AWS}", "https://b/k?who=it's me"),
        ("https://b/k?" + AWS.replace("&X-Amz-Date", "&who=it's me&X-Amz-Date"), "https://b/k?who=it's me"),
        ("https://b/k?" + AWS.replace("X-Amz-S", "X-Amz-%53"), "https://b/k"),
        ("https://b/k?" + AWS.replace("Signature", "%53i%67natur%65").replace("X-", "X%2D"), "https://b/k"),
        ("https://b/k?se=2011-11-24T00%3A00Z&sr=b&sp=r&sig=5ec2e7", "https://b/k"),
        ("<a href=&quot;https://b/k?" + AWS.replace("&", "&amp;") + "&quot;>", "<a href=&quot;https://b/k&quot;>"),
        ("https://b/k?AWSAccessKeyId=A&Expires=1&Signature=5e\\/c2\\u002Be7&#x3D;&w=3", "https://b/k?w=3"),
        ("https:\\/\\/b\\/k?" + AWS.replace("&", "\\u0026") + "\\u0026w=3", "https:\\/\\/b\\/k?w=3"),
    ],
)
def test_only_the_signature_is_removed(text: str, expected: str) -> None:
    assert strip_signatures(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "https://x.example/?a=1&b=2",
        "no URL, a = b",
        "Is it open? Ben & Jerry's && co",
        "https://x.example/?policy=a&expires=b",
        "a sentence?policy=a&expires=b&signature=c",
        "https://x.example/?sig=main&page=2",
        "https://x.example/?Signature=J.+Doe&Expires=never",
        "https://x.example/?X-Amz-Signature=alone",
        "and/or?sig=good&se=bad",
        "http://x.example/?se=stockholm&sig=me",
        "https://x.example/?sig=me&sv=2&sr=b",
        "https://x.example/%41?sig=1 it's https://y.example/?sv=2026-01-01",
        "https://x.example/?sv=1&se=2",
        "https://x.example/?sig=1 https://y.example/?sv=2",
        "https://x.example/?sig=1,https://y.example/?sv=2",
    ],
)
def test_incomplete_signatures_and_ordinary_text_are_unchanged(text: str) -> None:
    assert strip_signatures(text) == text


around = st.text(max_size=30) | st.sampled_from(
    ["Is it open? Ben & Jerry's ", "? & && ?& ", "a=b&sig=c ", "see ?policy=a&expires=b: ", "x?&#?&& "]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(around | st.sampled_from(["https://x.example/?a=1&&b=2", "Signature=1&", "/?", "X-Amz-Date=2"])))
@example(["Signature=1&", "/?", "Signature=2"])
def test_text_without_a_signed_url_is_unchanged(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert strip_signatures(text) == text


@settings(max_examples=200, deadline=None)
@given(
    signature=st.sampled_from(sorted(SIGNATURES)),
    order=st.randoms(use_true_random=False),
    own=st.lists(
        st.sampled_from(["v=2", "w=a%20b", "response-content-type=image%2Fjpeg", "flag", "x=a/b"]), max_size=3
    ),
    fragment=st.sampled_from(["", "#top", "#a=1&b=2"]),
    ampersand=st.sampled_from(AMPERSANDS),
    equals=st.sampled_from(EQUALS_SIGNS),
    start=st.sampled_from(
        [
            "https://b.example/k.jpg",
            'https://b.example/it\'s my "best" <k>.jpg',
            "s3://bucket/a,(1).jpg",
            "http://127.0.0.1:9/",
            "gs://b/k",
        ]
    ),
    before=around,
    after=around,
    quote=st.sampled_from([" ", "\n", '"', "'"]),
)
def test_signed_url_loses_its_signature_and_nothing_else(
    signature: str,
    order: random.Random,
    own: list[str],
    fragment: str,
    ampersand: str,
    equals: str,
    start: str,
    before: str,
    after: str,
    quote: str,
) -> None:
    signing = [name.replace("=", equals, 1) for name in SIGNATURES[signature].split("&")]
    parameters = [*((name, False) for name in own), *((name, True) for name in signing)]
    order.shuffle(parameters)
    kept = [name for name, is_signature in parameters if not is_signature]
    url = f"{start}?{ampersand.join(name for name, _ in parameters)}{fragment}"
    expected = start + ("?" if kept else "") + ampersand.join(kept) + fragment
    text, expected_text = (f"{before}{quote}{each}{quote}{after}" for each in (url, expected))
    assert strip_signatures(text) == expected_text
    assert json.loads(to_redacted_json({text: [text, {"a": text}]})) == {
        expected_text: [expected_text, {"a": expected_text}]
    }


def test_json_is_redacted_by_value_with_its_keys() -> None:
    value = {SIGNED: (1, SIGNED), SIGNED.replace("5ec2e7", "0ther"): 'Is it "open"? A & B'}
    url = "https://b.s3.amazonaws.com/k%2Fa.jpg?v=2"
    expected = {url: (1, url), f"{url} (2)": 'Is it "open"? A & B'}
    assert strip_signatures_in(value) == expected
    assert json.loads(to_redacted_json(value)) == {**expected, url: [1, url]}
    deep: object = SIGNED
    for _ in range(3000):
        deep = [deep]
    assert url in to_redacted_json(deep)
    assert "5ec2e7" not in to_redacted_json(deep)


def test_pickled_errors_contain_no_signature() -> None:
    @redact_errors
    def fail() -> None:
        try:
            raise ValueError(SIGNED)
        except ValueError as error:
            raise InvalidInput(SIGNED, "is unavailable", "sign it again") from error

    with pytest.raises(InvalidInput) as caught:
        fail()
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value) == "https://b.s3.amazonaws.com/k%2Fa.jpg?v=2: is unavailable; sign it again"
    assert "5ec2e7" not in str(pickle.dumps(caught.value)) + repr(caught.value.__cause__) + repr(vars(caught.value))
