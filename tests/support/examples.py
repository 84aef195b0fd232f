"""The examples of the API contract: a request, a pending task and a completed task for each type."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "contract"
COMMON = ("callback_url", "urgency", "metadata", "unique_id", "project", "batch")


def examples() -> dict[str, dict[str, Any]]:
    """All examples by task type."""
    documents = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
    return {name: example for name, example in documents.items() if "request" in example}


def own_params(request: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a request that are specific to its task type."""
    return {key: value for key, value in request.items() if key not in COMMON}
