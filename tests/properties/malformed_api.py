"""An API that creates tasks correctly, but sends malformed responses."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

PAGE = 3  # tasks per page, regardless of the requested limit
Response = tuple[int, Any, dict[str, str]]


@dataclass(frozen=True)
class Malformation:
    """Malformation of one task: keys that are missing (`...`) or have other values."""

    in_creation: dict[str, Any] = field(default_factory=dict)  # in the response to its creation
    creation_response: Response | None = None  # instead of that response
    in_listing: dict[str, Any] = field(default_factory=dict)  # in GET /tasks
    extra_docs: list[Any] = field(default_factory=list)  # after it in GET /tasks


@dataclass(frozen=True)
class MalformedPage:
    """Malformation of a response to GET /tasks."""

    changes: dict[str, Any] = field(default_factory=dict)
    response: Response | None = None
    repeats: bool = False


class MalformedApi:
    """A malformed API, until `repair` is called.

    malformations: by row id; pages: one per list request, in order; supports_unique_id: whether it refuses a second
    task with the same unique_id, as the current API does.
    """

    def __init__(
        self,
        responses: dict[str, Any],
        malformations: dict[str, Malformation],
        pages: list[MalformedPage],
        *,
        supports_unique_id: bool,
    ) -> None:
        self.tasks: list[dict[str, Any]] = []
        self._responses = responses
        self._malformations = malformations
        self._pages = list(pages)
        self._supports_unique_id = supports_unique_id
        self._lock = threading.Lock()

    def repair(self) -> None:
        """From now on all responses are well-formed; the answers of the tasks stay the same."""
        self._malformations, self._pages = {}, []

    def respond(self, method: str, path: str, body: bytes) -> Response:
        """A response for `StubServer`."""
        with self._lock:
            url = urlsplit(path)
            if method == "POST":
                return self._create(url.path.rpartition("/")[2], json.loads(body))
            query = parse_qs(url.query)
            if url.path == "/tasks":
                return self._list(query)
            matches = [task for task in self.tasks if task["task_id"] == url.path.rpartition("/")[2]]
            return (200, matches[0], {}) if matches else (404, {"error": "no such task"}, {})

    def _create(self, name: str, request: dict[str, Any]) -> Response:
        row_id, unique_id = request["metadata"]["row_id"], request["unique_id"]
        holder = next((task for task in self.tasks if task.get("unique_id") == unique_id), None)
        if holder and self._supports_unique_id:
            return 409, {"error": f"already used for a different task ({holder['task_id']})"}, {}
        task = {
            "task_id": f"{len(self.tasks):024x}",
            "type": name,
            "status": "completed",
            "created_at": "2026-11-23T10:00:00.000Z",
            "completed_at": "2026-11-23T10:00:01.000Z",
            "metadata": request["metadata"],
            "response": self._responses[row_id],
        }
        if self._supports_unique_id:
            task["unique_id"] = unique_id
        self.tasks.append(task)
        malformation = self._malformations.get(row_id, Malformation())
        response = apply_changes({**task, "status": "pending"}, malformation.in_creation)
        return malformation.creation_response or (200, response, {})

    def _list(self, query: dict[str, list[str]]) -> Response:
        if "contract" in query:
            return (400, {"error": "unknown parameter"}, {}) if self._supports_unique_id else (200, {"docs": []}, {})
        status, ids = query.get("status", [""])[0], query.get("unique_id")
        matches = [
            task
            for task in self.tasks
            if status in ("", task["status"]) and (not ids or not self._supports_unique_id or task["unique_id"] in ids)
        ]
        if query["limit"] == ["1"]:
            return 200, {"docs": matches[:1], "total": len(matches), "has_more": False}, {}
        return self._page(matches, query)

    def _page(self, matches: list[dict[str, Any]], query: dict[str, list[str]]) -> Response:
        malformed = self._pages.pop(0) if self._pages else MalformedPage()
        start = 0 if malformed.repeats else int(query.get("next_token", query.get("offset", ["0"]))[0])
        docs: list[Any] = []
        for task in matches[start : start + PAGE]:
            malformation = self._malformations.get(task["metadata"]["row_id"], Malformation())
            docs += [apply_changes(task, malformation.in_listing), *malformation.extra_docs]
        end = start + PAGE
        page = {"docs": docs, "total": len(matches), "has_more": end < len(matches), "next_token": str(end)}
        return malformed.response or (200, apply_changes(page, malformed.changes), {})


def apply_changes(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**values, **changes}.items() if value is not ...}
