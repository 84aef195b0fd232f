"""An API that makes tasks as it should, and answers as nobody promised."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

PAGE = 3  # tasks that it gives at once, however many are asked for
Response = tuple[int, Any, dict[str, str]]


@dataclass(frozen=True)
class Malformation:
    """What is wrong with one task: keys that it lacks (`...`) or has instead, in both kinds of answers."""

    in_creation: dict[str, Any] = field(default_factory=dict)  # in the answer to its creation
    creation_response: Response | None = None  # of that answer
    in_listing: dict[str, Any] = field(default_factory=dict)  # in GET /tasks
    extra_docs: list[Any] = field(default_factory=list)  # what stands behind it in GET /tasks


@dataclass(frozen=True)
class MalformedPage:
    """What is wrong with an answer to GET /tasks."""

    changes: dict[str, Any] = field(default_factory=dict)
    response: Response | None = None
    repeats: bool = False


class MalformedApi:
    """`odd` says what is wrong with the task of a row, `pages` with each list in turn; nothing is after `mend`.

    knows_ids: whether it refuses a second task of one unique_id (contract B).
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
        """From now on it answers as promised; what people answered stays what it is."""
        self._malformations, self._pages = {}, []

    def respond(self, method: str, path: str, body: bytes) -> Response:
        """An answer for `Scripted`."""
        with self._lock:
            url = urlsplit(path)
            if method == "POST":
                return self._create(url.path.rpartition("/")[2], json.loads(body))
            query = parse_qs(url.query)
            if url.path == "/tasks":
                return self._list(query)
            found = [task for task in self.tasks if task["task_id"] == url.path.rpartition("/")[2]]
            return (200, found[0], {}) if found else (404, {"error": "no such task"}, {})

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
        oddity = self._malformations.get(row_id, Malformation())
        return oddity.creation_response or (200, apply_changes({**task, "status": "pending"}, oddity.in_creation), {})

    def _list(self, query: dict[str, list[str]]) -> Response:
        if "contract" in query:
            return (400, {"error": "unknown parameter"}, {}) if self._supports_unique_id else (200, {"docs": []}, {})
        status, ids = query.get("status", [""])[0], query.get("unique_id")
        wanted = [
            task
            for task in self.tasks
            if status in ("", task["status"]) and (not ids or not self._supports_unique_id or task["unique_id"] in ids)
        ]
        if query["limit"] == ["1"]:
            return 200, {"docs": wanted[:1], "total": len(wanted), "has_more": False}, {}
        return self._page(wanted, query)

    def _page(self, wanted: list[dict[str, Any]], query: dict[str, list[str]]) -> Response:
        odd = self._pages.pop(0) if self._pages else MalformedPage()
        start = 0 if odd.repeats else int(query.get("next_token", query.get("offset", ["0"]))[0])
        docs: list[Any] = []
        for task in wanted[start : start + PAGE]:
            oddity = self._malformations.get(task["metadata"]["row_id"], Malformation())
            docs += [apply_changes(task, oddity.in_listing), *oddity.extra_docs]
        after = start + PAGE
        page = {"docs": docs, "total": len(wanted), "has_more": after < len(wanted), "next_token": str(after)}
        return odd.response or (200, apply_changes(page, odd.changes), {})


def apply_changes(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**values, **changes}.items() if value is not ...}
