"""docs/guarantees.md names a proof for each promise: each test that it names must be there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def guarantee_rows() -> list[str]:
    """The rows of its tables."""
    rows = [line for line in (ROOT / "docs" / "guarantees.md").read_text().splitlines() if line.startswith("| ")]
    return [row for row in rows if not row.startswith("| promise")]


def names_of_tests_in(path: Path) -> set[str]:
    """The names of the tests in a file."""
    return set(re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE)) if path.exists() else set()


def test_every_guarantee_names_existing_tests() -> None:
    assert len(guarantee_rows()) > 10
    for promise in guarantee_rows():
        proofs = re.findall(r"`(tests/[^`]+)`", promise.split("|")[-2])
        assert proofs, promise
        for proof in proofs:
            file, _, name = proof.partition("::")
            found = names_of_tests_in(ROOT / file)
            assert name in found if name else found, proof


def test_every_guarantee_names_a_test_function() -> None:
    for promise in guarantee_rows():
        assert re.search(r"`tests/[^`]+\.py::test_\w+`", promise), promise
