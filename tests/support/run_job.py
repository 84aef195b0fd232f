"""A labeling run without Prefect, for tests that need many runs."""

from __future__ import annotations

from labelflow.api import label

__all__ = ["label"]
