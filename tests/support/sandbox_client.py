"""A plain client of the sandbox's API, and a recorder of its callbacks."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import requests

TIMEOUT = 15.0  # seconds


def wait_until(check: Callable[[], Any]) -> Any:
    """Wait until `check` returns a true value; returns this value."""
    deadline = time.monotonic() + TIMEOUT
    while not (value := check()):
        assert time.monotonic() < deadline, f"condition not met within {TIMEOUT:g} s"
        time.sleep(0.01)
    return value


class ApiClient:
    """A client of the sandbox with a key of its own; mode: test or live."""

    def __init__(self, url: str, mode: str = "test", key: str | None = None) -> None:
        self.url = url
        self.key = key or f"{mode}_{uuid4().hex}"
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.auth = (self.key, "")

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        return self._session.request(method, self.url + path, timeout=TIMEOUT, **options)

    def ok(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """The JSON object of a response, whose status must be 200."""
        response = self.request(method, path, **options)
        assert response.status_code == 200, response.text
        doc: dict[str, Any] = response.json()
        return doc

    def expect_error(self, status: int, method: str, path: str, **options: Any) -> str:
        """The error message of a response, which must have this status."""
        response = self.request(method, path, **options)
        assert response.status_code == status, response.text
        assert set(response.json()) == {"status_code", "error"}
        assert response.json()["status_code"] == status
        return str(response.json()["error"])

    def create(self, task_type: str, request: dict[str, Any]) -> dict[str, Any]:
        return self.ok("POST", f"/task/{task_type}", json=request)

    def create_text_task(self, text: str = "a message", **params: Any) -> dict[str, Any]:
        """Create a task that needs no attachment."""
        return self.create("categorization", {**text_request(text), **params})

    def get(self, task_id: str) -> dict[str, Any]:
        return self.ok("GET", f"/task/{task_id}")

    def wait_until_done(self, task: dict[str, Any]) -> dict[str, Any]:
        """Wait until the task is no longer pending; returns it."""

        def finished_task() -> dict[str, Any] | None:
            current = self.get(task["task_id"])
            return current if current["status"] != "pending" else None

        finished: dict[str, Any] = wait_until(finished_task)
        return finished

    def list_task_ids(self, **query: Any) -> list[str]:
        """The ids of a page of tasks."""
        return [task["task_id"] for task in self.ok("GET", "/tasks", params=query)["docs"]]


def text_request(text: str = "a message") -> dict[str, Any]:
    return {
        "instruction": "What is it?",
        "attachment_type": "text",
        "attachment": text,
        "categories": ["praise", "blame"],
    }


class CallbackRecorder:
    """Records callbacks; `status(path, count)` is the HTTP status for the n-th callback on a path, from 1."""

    def __init__(self) -> None:
        self.received: list[tuple[str, dict[str, str], dict[str, Any], float]] = []
        self.status: Callable[[str, int], int] = lambda path, count: 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.received.append((self.path, dict(self.headers), body, time.monotonic()))
                self.send_response(outer.status(self.path, len(outer.bodies(self.path))))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def bodies(self, path: str) -> list[dict[str, Any]]:
        """The bodies received on a path."""
        return [body for received_path, _, body, _ in self.received if received_path == path]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
