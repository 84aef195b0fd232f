"""docs/guarantees.md names a proof for each promise: each test that it names must be there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def promises() -> list[str]:
    """The rows of its tables."""
    rows = [line for line in (ROOT / "docs" / "guarantees.md").read_text().splitlines() if line.startswith("| ")]
    return [row for row in rows if not row.startswith("| promise")]


def names_in(path: Path) -> set[str]:
    """The names of the tests in a file."""
    return set(re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE)) if path.exists() else set()


def test_every_promise_names_tests_that_are_there() -> None:
    assert len(promises()) > 10
    for promise in promises():
        proofs = re.findall(r"`(tests/[^`]+)`", promise.split("|")[-2])
        assert proofs, promise
        for proof in proofs:
            file, _, name = proof.partition("::")
            found = names_in(ROOT / file)
            assert name in found if name else found, proof


def test_every_promise_has_a_test_of_its_own_named() -> None:
    for promise in promises():
        assert re.search(r"`tests/[^`]+\.py::test_\w+`", promise), promise
