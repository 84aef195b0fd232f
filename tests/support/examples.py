"""The examples of the API contract: a request, a pending task and a completed task for each type.

A current type has `columns`, too: the columns of labels/ for its response. Those of a legacy type are the response.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "contract"
COMMON = ("callback_url", "urgency", "metadata", "unique_id", "project", "batch", "tags")


def examples() -> dict[str, dict[str, Any]]:
    """All examples by task type."""
    documents = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
    return {name: example for name, example in documents.items() if "request" in example}


def own_params(request: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a request that are specific to its task type."""
    return {key: value for key, value in request.items() if key not in COMMON}


def expected_columns(example: dict[str, Any]) -> dict[str, Any]:
    """The columns of labels/ that the response of an example gives."""
    if "columns" in example:
        return dict(example["columns"])
    response: dict[str, Any] = example["task_completed"]["response"]
    return {key: [value] if key == "category" and isinstance(value, str) else value for key, value in response.items()}


def is_legacy(name: str) -> bool:
    """Whether a type is one of the 2017 API."""
    return (FOLDER.parents[1] / "labelflow/scale/task_types/legacy" / f"{name}.py").exists()
