"""A server that answers like the Scale API and does nothing else: it is never what a measurement waits for.

    python -m benchmarks.stub [--completed N] [--latency MILLISECONDS] [--tls FOLDER]

No database and no checks: a created task is a number, and `GET /v1/tasks` gives N completed tasks, newest first, by
`next_token`. `GET /stub` tells how many requests came. Prints its URL once it listens.
"""

from __future__ import annotations

import argparse
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from benchmarks.serving import response, serve
from scale.contract import PAGE_LIMIT, format_time

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
BETWEEN = timedelta(milliseconds=100)  # between two tasks
TURNAROUND = timedelta(seconds=1)
CATEGORY = "delivery"
DONE = {"status": "completed", "response": {"category": CATEGORY}}


def task_id(number: int) -> str:
    """The id of the n-th task, counted from 0."""
    return f"{number:024x}"


def created_at(number: int) -> str:
    """When the n-th task was created: ten a second."""
    return format_time(BEGUN + number * BETWEEN)


def completed_at(number: int) -> str:
    """When the n-th task was completed."""
    return format_time(BEGUN + number * BETWEEN + TURNAROUND)


def first_completed_after(moment: str) -> int:
    """The first task that was completed later."""
    return max(0, (datetime.fromisoformat(moment) - BEGUN - TURNAROUND) // BETWEEN + 1)


class Tasks:
    """What the server knows: two numbers."""

    def __init__(self, completed: int) -> None:
        self.created = 0
        self.completed = completed
        self.requests: Counter[str] = Counter()

    def respond(self, method: str, target: str, body: bytes) -> bytes:
        """The response to a request."""
        status, content = self.answer(method, target, body)
        return response(status, orjson.dumps(content))

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, Any]:
        """Status and content."""
        url = urlsplit(target)
        if method == "POST":
            self.requests["POST"] += 1
            return 200, self._create(url.path.rpartition("/")[2], orjson.loads(body))
        if url.path == "/stub":
            return 200, {"created": self.created, "requests": self.requests}
        query = parse_qs(url.query)
        if "contract" in query:
            return 400, {"status_code": 400, "error": '"contract" is not allowed'}
        self.requests["GET"] += 1
        if url.path.endswith("/tasks"):
            return 200, self._page(query)
        return 200, self._done(int(url.path.rpartition("/")[2], 16))

    def _create(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        number, self.created = self.created, self.created + 1
        known = {key: body.get(key) for key in ("instruction", "metadata", "unique_id")}
        return {
            "task_id": task_id(number),
            "type": kind,
            "status": "pending",
            "created_at": created_at(number),
            **known,
        }

    def _page(self, query: dict[str, list[str]]) -> dict[str, Any]:
        limit = int(query.get("limit", [str(PAGE_LIMIT)])[0])
        is_completed = query.get("status", ["completed"]) == ["completed"]
        end = int(query.get("next_token", [str(self.completed)])[0]) if is_completed else 0
        since = query.get("updated_after") or query.get("completed_after")
        first = first_completed_after(since[0]) if since else 0
        start = min(end, max(first, end - limit))
        page = {
            "docs": [self._done(number) for number in range(end - 1, start - 1, -1)],
            "total": self.completed if is_completed else 0,
            "limit": limit,
            "has_more": start > first,
        }
        return {**page, "next_token": str(start)} if start > first else page

    def _done(self, number: int) -> dict[str, Any]:
        known = {"task_id": task_id(number), "type": "categorization", "created_at": created_at(number), **DONE}
        metadata = {"job": "benchmark", "row_id": f"r{number}"}
        return {
            **known,
            "completed_at": completed_at(number),
            "metadata": metadata,
            "unique_id": f"benchmark/r{number}",
        }


def main() -> None:
    """Read the command line, and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--completed", type=int, default=0, metavar="N")
    parser.add_argument("--latency", type=float, default=0.0, metavar="MILLISECONDS")
    parser.add_argument("--tls", type=Path, metavar="FOLDER", help="with cert.pem and key.pem")
    given = parser.parse_args()
    serve("Stub", Tasks(given.completed).respond, path="/v1", latency=given.latency / 1000, tls=given.tls)


if __name__ == "__main__":
    main()
