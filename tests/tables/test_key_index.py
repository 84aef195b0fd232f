"""The key index returns what a dictionary would, whatever the batches."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from labelflow.tables.key_index import MISSING, ArrowStrings, KeyIndex

KEYS = st.text(max_size=3)
BATCHES = st.lists(st.lists(st.tuples(KEYS, st.integers(0, 2**62))), max_size=12)


@given(BATCHES, st.lists(KEYS))
def test_index_matches_a_dictionary(batches: list[list[tuple[str, int]]], queries: list[str]) -> None:
    index, known = KeyIndex(), dict[str, int]()
    for batch in batches:
        index.add([key for key, _ in batch], np.array([number for _, number in batch], np.int64))
        known.update(batch)
        assert len(index) == len(known)
    assert index.find([*known, *queries]).tolist() == [known.get(key, MISSING) for key in [*known, *queries]]


def test_small_batches_are_merged_into_few_sorted_runs() -> None:
    index = KeyIndex()
    for start in range(0, 50_000, 100):
        index.add([f"r{number}" for number in range(start, start + 100)], np.arange(start, start + 100))
    assert len(index) == 50_000
    assert index.get("r49999") == 49_999
    assert len(index._runs) <= 10


def test_string_list_round_trips() -> None:
    texts = ArrowStrings()
    texts.add(["a", "b"])
    texts.add([])
    texts.add(["c"])
    texts.keep(lambda batch: np.array([text != "a" for text in batch]))
    assert len(texts) == 2
