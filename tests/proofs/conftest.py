"""Long tests, which `make proofs` runs: kills, outages, deployments, and benchmarks with a few rows."""

from __future__ import annotations

import pytest


@pytest.fixture
def no_listing_lag() -> None:
    """The lag is real in these tests."""
