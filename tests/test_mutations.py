"""The mutations of `make mutations` apply to the product as it stands."""

from __future__ import annotations

import pytest

from tests.proofs.mutations import MUTATIONS, Mutation, mutated


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_mutation_applies_to_the_source(mutation: Mutation) -> None:
    assert mutated(mutation)
