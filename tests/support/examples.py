"""The contract's examples: a request, a pending task and a completed one for each type."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "contract"
COMMON = ("callback_url", "urgency", "metadata", "unique_id", "project", "batch")


def examples() -> dict[str, dict[str, Any]]:
    """Every example by the name of its task type."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
    return {name: example for name, example in found.items() if "request" in example}


def own_params(request: dict[str, Any]) -> dict[str, Any]:
    """The part of a request that belongs to its type."""
    return {key: value for key, value in request.items() if key not in COMMON}
