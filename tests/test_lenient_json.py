"""JSON that strict parsers reject or round is read and written exactly."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelflow.lenient_json import MAX_DEPTH, dump_json, parse_exact_json, parse_json

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("80241446968629130001", 80241446968629130001),
        ("-9223372036854775809", -9223372036854775809),
        ("9" * 4000, int("9" * 4000)),
        ("9" * 5000, "9" * 5000),
        ("1e999", "1e999"),
        ("-1E+400", "-1E+400"),
        ("NaN", None),
        ("-Infinity", None),
        ('"\\ud800"', "\ufffd"),
        ('"\\ud83d\\ude00"', "\U0001f600"),
        ('"1234567890123456789012345"', "1234567890123456789012345"),
        ("0.1234567890123456789012345", 0.1234567890123456789012345),
    ],
)
def test_odd_values_are_exact_or_text_and_their_neighbours_are_unchanged(content: str, expected: object) -> None:
    document = parse_json(f'{{"odd": [{content}], "plain": [1, 1.5, "a"]}}'.encode())
    assert document == {"odd": [expected], "plain": [1, 1.5, "a"]}
    assert parse_json(dump_json(document)) == document


@pytest.mark.parametrize("levels", [300, 900, 1020, 1100, 50_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a]": ', "}")])
def test_deep_nesting_is_kept_whole_and_its_neighbours_are_unchanged(levels: int, opening: str, closing: str) -> None:
    deep = opening * levels + '"\\"[x"' + closing * levels
    document = parse_json(f'{{"deep": {deep}, "plain": [1]}}'.encode())
    assert document["plain"] == [1]
    assert parse_json(dump_json(document))["plain"] == [1]
    value, found = document["deep"], 0
    while not isinstance(value, str):
        value, found = next(iter(value.values() if isinstance(value, dict) else value)), found + 1
    if value == '"[x':
        assert found == levels
    else:
        assert value == opening * (levels - found) + '"\\"[x"' + closing * (levels - found)
        assert found >= MAX_DEPTH - 1


@pytest.mark.parametrize(
    "content", [b"", b"[1e999", b"[" * 5000, b'{"a": ' * 5000 + b"]", b"\xff", b'["', b"]" * 3000, b"[1 2]"]
)
def test_invalid_json_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(content)


def test_strict_parsing_keeps_integers_exact_and_rejects_the_rest() -> None:
    assert parse_exact_json(b'{"a": 80241446968629130001}') == {"a": 80241446968629130001}
    for content in (b"1e999", b"NaN", b'"\\ud800"'):
        with pytest.raises(orjson.JSONDecodeError):
            parse_exact_json(content)


@settings(max_examples=60, deadline=None)
@given(json_values)
def test_json_is_read_and_written_without_loss(value: object) -> None:
    assert parse_json(dump_json(value)) == value
    assert json.loads(dump_json(value)) == value
    assert parse_json(json.dumps(value, indent=1).encode()) == value


@pytest.mark.parametrize("value", [{1: 10**30}, [10**30, "\ud800"], [10**30, object()]])
def test_what_json_does_not_have_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError):
        dump_json(value)
