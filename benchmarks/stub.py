"""A stub of the Scale API that is fast enough never to be the bottleneck of a measurement.

    python -m benchmarks.stub [--completed N] [--latency MILLISECONDS] [--tls FOLDER]

It has no database and validates nothing: a created task is a number, and `GET /v1/tasks` returns N completed tasks,
newest first, by `next_token`. `GET /stub` returns the number of requests. Prints its URL once it listens.
"""

from __future__ import annotations

import argparse
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from benchmarks.http_server import response, serve
from labelflow.scale.models import PAGE_LIMIT

FIRST_CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)
TASKS_PER_SECOND = 10  # by `created_at`
TURNAROUND = 1  # second
COMPLETED_TASK = b"""{
"task_id": "%024x", "type": "categorization", "status": "completed", "created_at": "%s", "completed_at": "%s",
"response": {"category": "delivery"}, "metadata": {"job": "benchmark", "row_id": "r%d"}, "unique_id": "benchmark/r%d"
}"""


def task_id(number: int) -> str:
    """The id of the n-th task, from 0."""
    return f"{number:024x}"


def created_at(number: int) -> str:
    """The creation time of the n-th task."""
    second, rest = divmod(number, TASKS_PER_SECOND)
    return f"{_second(second)}.{rest * 1000 // TASKS_PER_SECOND:03}Z"


@lru_cache(1000)
def _second(since: int) -> str:
    return f"{FIRST_CREATED_AT + timedelta(seconds=since):%Y-%m-%dT%H:%M:%S}"


def first_completed_after(moment: str) -> int:
    """The number of the first task that was completed after that time."""
    since = datetime.fromisoformat(moment) - FIRST_CREATED_AT - timedelta(seconds=TURNAROUND)
    return max(0, int(since.total_seconds() * TASKS_PER_SECOND) + 1)


def completed_task(number: int) -> bytes:
    """The n-th task as JSON, completed. Formatting bytes takes a third of the time of JSON serialization."""
    created, completed = created_at(number), created_at(number + TURNAROUND * TASKS_PER_SECOND)
    return COMPLETED_TASK % (number, created.encode(), completed.encode(), number, number)


class ApiStub:
    """The state of the stub: the numbers of created and of completed tasks."""

    def __init__(self, completed: int) -> None:
        self.created = 0
        self.completed = completed
        self.requests: Counter[str] = Counter()

    def respond(self, method: str, target: str, body: bytes) -> bytes:
        """The response to a request."""
        return response(*self._route(method, target, body))

    def _route(self, method: str, target: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of the response."""
        url = urlsplit(target)
        if method == "POST":
            self.requests["POST"] += 1
            return 200, orjson.dumps(self._create(url.path.rpartition("/")[2], orjson.loads(body)))
        if url.path == "/stub":
            return 200, orjson.dumps({"created": self.created, "requests": self.requests})
        query = parse_qs(url.query)
        if "contract" in query:
            return 400, orjson.dumps({"status_code": 400, "error": '"contract" is not allowed'})
        self.requests["GET"] += 1
        if url.path.endswith("/tasks"):
            return 200, self._page(query)
        return 200, completed_task(int(url.path.rpartition("/")[2], 16))

    def _create(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        number, self.created = self.created, self.created + 1
        echoed = {key: body.get(key) for key in ("instruction", "metadata", "unique_id")}
        return {
            "task_id": task_id(number),
            "type": kind,
            "status": "pending",
            "created_at": created_at(number),
            **echoed,
        }

    def _page(self, query: dict[str, list[str]]) -> bytes:
        limit = int(query.get("limit", [str(PAGE_LIMIT)])[0])
        is_completed = query.get("status", ["completed"]) == ["completed"]
        end = int(query.get("next_token", [str(self.completed)])[0]) if is_completed else 0
        since = query.get("updated_after") or query.get("completed_after")
        first = first_completed_after(since[0]) if since else 0
        start = min(end, max(first, end - limit))
        page = {"total": self.completed if is_completed else 0, "limit": limit, "has_more": start > first}
        rest = orjson.dumps({**page, "next_token": str(start)} if start > first else page)
        return (
            b'{"docs": ['
            + b",".join(map(completed_task, range(end - 1, start - 1, -1)))
            + b"],"
            + rest.removeprefix(b"{")
        )


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--completed", type=int, default=0, metavar="N")
    parser.add_argument("--latency", type=float, default=0.0, metavar="MILLISECONDS")
    parser.add_argument("--tls", type=Path, metavar="FOLDER", help="folder with cert.pem and key.pem")
    options = parser.parse_args()
    respond = ApiStub(options.completed).respond
    serve("Stub", respond, path="/v1", latency=options.latency / 1000, tls=options.tls)


if __name__ == "__main__":
    main()
