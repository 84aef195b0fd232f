"""Strategies for arbitrary and edge-case values."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from hypothesis import strategies as st

EDGE_CASE_STRINGS = [
    "",
    " ",
    "{",
    "}",
    "{}",
    "{ }",
    "{{}}",
    "{text}",
    "{ text }",
    "{nowhere}",
    "{text!r}",
    "{id} {n}",
    "\x00",
    "\x1b[2J",
    "a\nb",
    "\u2028",
    "\u202eabc",
    "\ufeffid",
    "\U0001f9ff",
    "\ufffe",
    "e\u0301",
    "NaN",
    "null",
    "1e999",
    "99999999999999999999999999d",
    "0s",
    "1e400/s",
    "0/s",
    "200%",
    "env:",
    "s3://",
    "s3:///k",
    "http://",
    "http://[",
    "http://127.0.0.1:99999/",
    "//x",
    "../..",
    "x" * 5000,
]

strings = st.sampled_from(EDGE_CASE_STRINGS) | st.text(max_size=20)
numbers = (
    st.integers()
    | st.sampled_from([0, -1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**30])
    | st.floats()
    | st.sampled_from([0.0, -0.0, 1.0, 1e308])
)
scalars: st.SearchStrategy[Any] = st.none() | st.booleans() | numbers | strings
timestamps: st.SearchStrategy[Any] = st.sampled_from(
    [date(1, 1, 1), date(9999, 12, 31), datetime(2026, 11, 23, tzinfo=UTC)]
)


def nested(leaves: st.SearchStrategy[Any], keys: st.SearchStrategy[str] = strings) -> st.SearchStrategy[Any]:
    """The leaves, or lists and mappings of them."""
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
    )


anything = nested(scalars)
