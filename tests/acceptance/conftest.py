"""What the acceptance tests share."""

from __future__ import annotations

import pytest


@pytest.fixture
def no_listing_lag() -> None:
    """The lag is real in these tests."""
