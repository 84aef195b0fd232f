"""What the sandbox's tests talk with: a plain caller of its API, and a receiver of its callbacks."""

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
    """Wait until a check gives something true, and give that."""
    deadline = time.monotonic() + TIMEOUT
    while not (outcome := check()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)
    return outcome


class ApiClient:
    """Calls a sandbox with one key, which nobody else uses."""

    def __init__(self, url: str, mode: str = "test", key: str | None = None) -> None:
        self.url = url
        self.key = key or f"{mode}_{uuid4().hex}"
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.auth = (self.key, "")

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        return self._session.request(method, self.url + path, timeout=TIMEOUT, **options)

    def ok(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """The answer's object, which must be a 200."""
        answer = self.request(method, path, **options)
        assert answer.status_code == 200, answer.text
        doc: dict[str, Any] = answer.json()
        return doc

    def expect_error(self, status: int, method: str, path: str, **options: Any) -> str:
        """The error of an answer, which must have that status."""
        answer = self.request(method, path, **options)
        assert answer.status_code == status, answer.text
        assert set(answer.json()) == {"status_code", "error"}
        assert answer.json()["status_code"] == status
        return str(answer.json()["error"])

    def create(self, task_type: str, request: dict[str, Any]) -> dict[str, Any]:
        return self.ok("POST", f"/task/{task_type}", json=request)

    def create_text_task(self, text: str = "a message", **more: Any) -> dict[str, Any]:
        """Create a task that needs no attachment."""
        return self.create("categorization", {**text_request(text), **more})

    def get(self, task_id: str) -> dict[str, Any]:
        return self.ok("GET", f"/task/{task_id}")

    def wait_until_done(self, task: dict[str, Any]) -> dict[str, Any]:
        """The task once it is no longer pending."""

        def ended() -> dict[str, Any] | None:
            now = self.get(task["task_id"])
            return now if now["status"] != "pending" else None

        found: dict[str, Any] = wait_until(ended)
        return found

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
    """Takes callbacks; `status(path, count)` says what the so-manieth one on a path is answered."""

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
        """The bodies that came in on a path."""
        return [body for seen, _, body, _ in self.received if seen == path]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
