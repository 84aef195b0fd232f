"""A client of the Scale API, made to be shared by many threads."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ssl import SSLCertVerificationError
from typing import Any, cast
from urllib.parse import quote, urlencode, urlsplit

import orjson
import urllib3
from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from labelflow.scale.errors import (
    ConnectError,
    InvalidRequest,
    InvalidResponse,
    RateLimited,
    ResponseLost,
    error_for_status,
)
from labelflow.scale.models import LIVE_URL, PAGE_LIMIT, Task, TaskStatus
from labelflow.scale.rate_limiter import RateLimiter
from labelflow.scale.retry import RetryPolicy, Sleep, call_with_retries, retry_after_seconds

CONNECT_TIMEOUT = 10.0  # seconds
READ_TIMEOUT = 20.0  # seconds without a byte from the server
_NO_RETRIES = urllib3.Retry(False, redirect=False)  # `retrying` does


@dataclass(frozen=True, slots=True)
class TaskPage:
    """One page of tasks, newest first, and how many tasks match in all (0 where the server does not say).

    unreadable: why each of the other things in it is no task.
    """

    tasks: list[Task]
    total: int
    parse_errors: tuple[InvalidResponse, ...] = ()


class ScaleClient:
    """Calls the API with one key, over kept-alive connections.

    key: never printed, never part of an error.
    connections: how many requests may be under way at once; further threads wait for a free connection.
    pause: how to wait; a caller that can be stopped passes its own, which may raise.
    clean: takes what is secret out of what a server says is wrong; it may say a request back.
    pace: spaces the creations (None: as fast as the connections allow).
    Raises the errors of `labelflow.scale.errors`, after retrying those that say that trying again can help.
    """

    def __init__(
        self,
        key: str,
        url: str = LIVE_URL,
        *,
        connections: int = 16,
        timeout: tuple[float, float] = (CONNECT_TIMEOUT, READ_TIMEOUT),
        retry: RetryPolicy | None = None,
        rate_limiter: RateLimiter | None = None,
        sleep: Sleep = time.sleep,
        redact: Callable[[str], str] = str,
    ) -> None:
        self._url = url.rstrip("/")
        self._timeout = urllib3.Timeout(*timeout)
        self._retry = retry or RetryPolicy()
        self._rate_limiter = rate_limiter
        self._sleep = sleep
        self._redact = redact
        self._key = key
        self._adapter = HTTPAdapter(pool_connections=1, pool_maxsize=connections, pool_block=True)
        self._pool, self._base_path = _connection_pool(self._url, self._adapter)
        self._headers = {
            "Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode(),
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "User-Agent": "labelflow",
        }
        self._json_headers = {**self._headers, "Content-Type": "application/json"}

    def __repr__(self) -> str:
        return f"ScaleClient({self._url})"

    def __enter__(self) -> ScaleClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._adapter.close()

    def create_task(
        self, task_type: str, body: Mapping[str, Any], recover: Callable[[], Task | None] | None = None
    ) -> Task:
        """`POST /task/{type}`: create a task. Source: contract A "Creating".

        settle: finds the task where an answer was lost and the server may have made it (see `retrying`).
        Raises Duplicate where the server knows `unique_id` and a task holds it already.
        """
        payload = orjson.dumps(body)
        path = f"/task/{quote(task_type, safe='')}"

        def create() -> Task:
            if self._rate_limiter:
                self._rate_limiter.wait()
            try:
                return Task.parse(self._send("POST", path, payload))
            except RateLimited as error:
                if self._rate_limiter:
                    self._rate_limiter.back_off(error.retry_after)
                raise

        return call_with_retries(create, self._retry, self._sleep, recover)

    def get_task(self, task_id: str) -> Task:
        """`GET /task/{task_id}`. Raises NotFound. Source: contract A "Task endpoints"."""
        return Task.parse(self._call("GET", f"/task/{quote(task_id, safe='')}"))

    def cancel_task(self, task_id: str, clear_unique_id: bool = False) -> Task:
        """`POST /task/{task_id}/cancel`: take a pending task back. Source: contract A "Task endpoints".

        clear_unique_id: free its `unique_id` for another task (contract B).
        Returns the task as it stands then: canceled, or as it came back before. Raises NotFound.
        """
        query = "?clear_unique_id=true" if clear_unique_id else ""
        path = f"/task/{quote(task_id, safe='')}/cancel{query}"

        def get_if_not_pending() -> Task | None:
            task = self.get_task(task_id)
            return None if task.status == TaskStatus.PENDING else task

        try:
            # A completed one is a 500 in contract A, which also stands for passing trouble: `decided` tells.
            return call_with_retries(
                lambda: Task.parse(self._send("POST", path, b"{}")), self._retry, self._sleep, get_if_not_pending
            )
        except InvalidRequest:
            task = get_if_not_pending()
            if task is None:
                raise
            return task

    def list_pages(self, **filters: Any) -> Iterator[TaskPage]:
        """`GET /tasks`, page after page, newest first. Source: contract A "Task endpoints", contract B.

        Follows `next_token` where the server gives one, else `offset`. A filter may be a list.
        Raises UnexpectedAnswer for a page that says `has_more` and holds no task, or that was there before.
        """
        query: dict[str, Any] = {"limit": PAGE_LIMIT, **filters}
        offset = 0
        seen_first_ids: set[str] = set()  # the first task of each page
        while True:
            doc = self._call("GET", "/tasks?" + urlencode(query, doseq=True))
            page = _parse_page(doc)
            yield page
            offset += len(page.tasks) + len(page.parse_errors)
            if not doc.get("has_more", offset < page.total):
                return
            if not doc["docs"]:
                raise InvalidResponse("the server says that there are more tasks, and gives none")
            first = page.tasks[0].task_id if page.tasks else ""
            if first in seen_first_ids:
                raise InvalidResponse("the server gives the same page of tasks again and again")
            seen_first_ids.add(first)
            if doc.get("next_token"):
                query["next_token"] = doc["next_token"]
            else:
                query["offset"] = offset

    def list_tasks(self, **filters: Any) -> Iterator[Task]:
        """The tasks of all pages, one by one; see `list_pages`. Raises UnexpectedAnswer for what is no task."""
        for page in self.list_pages(**filters):
            yield from page.tasks
            if page.parse_errors:
                raise page.parse_errors[0]

    def supports_unique_id(self) -> bool:
        """Whether the server speaks contract B: there a parameter that it does not know is refused with a 400."""
        try:
            self._call("GET", "/tasks?" + urlencode({"limit": 1, "contract": "B"}))
        except InvalidRequest:
            return True
        return False

    def find_by_unique_id(self, unique_ids: Sequence[str]) -> list[Task]:
        """The tasks that hold one of these ids: at most 100 of them. Source: contract B."""
        if not unique_ids:
            return []
        if len(unique_ids) > PAGE_LIMIT:
            raise InvalidRequest(f"{len(unique_ids)} ids were asked for at once; {PAGE_LIMIT} is the most")
        wanted = set(unique_ids)
        # A server that does not know the filter answers with other tasks: they are no match.
        return [task for task in self.list_tasks(unique_id=list(unique_ids)) if task.unique_id in wanted]

    def _call(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        return call_with_retries(lambda: self._send(method, path, body), self._retry, self._sleep)

    def _send(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        """One exchange with the server, no retry."""
        headers = self._headers if body is None else self._json_headers
        try:
            response = self._pool.urlopen(
                method,
                self._base_path + path,
                body,
                headers,
                retries=_NO_RETRIES,
                redirect=False,
                assert_same_host=False,  # a proxy is another one
                timeout=self._timeout,
            )
        except HTTPError as error:
            raise self._connection_error(error) from None
        if response.status == 200:
            return self._parse_object(response.data)
        retry_after = retry_after_seconds(response.headers.get("Retry-After"))
        raise error_for_status(response.status, self._strip_secrets(_error_text(response)), retry_after)

    def _parse_object(self, content: bytes) -> dict[str, Any]:
        try:
            doc = parse_json(content)
        except (ValueError, RecursionError):
            raise ResponseLost(f"the answer is no JSON: {self._excerpt(content)}") from None
        if not isinstance(doc, dict):
            raise InvalidResponse(f"the answer is no JSON object: {self._excerpt(content)}")
        return doc

    def _excerpt(self, content: bytes) -> str:
        return self._strip_secrets(repr(content[:400]))[:80]

    def _strip_secrets(self, text: str) -> str:
        for secret in (self._key, self._headers["Authorization"].removeprefix("Basic ")):
            text = text.replace(secret, "***")
        return self._redact(text)

    def _connection_error(self, error: HTTPError) -> ConnectError | ResponseLost:
        """Refused before anything was sent, or broken after: only the first is sure not to have been done."""
        not_connected = isinstance(error, NewConnectionError | ConnectTimeoutError)
        if not_connected or isinstance(error.args[0] if error.args else None, SSLCertVerificationError):
            return ConnectError(f"no connection to {self._host()}: {_summarize(error)}")
        return ResponseLost(f"the connection to {self._host()} broke: {_summarize(error)}")

    def _host(self) -> str:
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


def _connection_pool(url: str, adapter: HTTPAdapter) -> tuple[urllib3.HTTPConnectionPool, str]:
    """The connections to a server, and what its paths begin with: proxies and certificates as requests finds them.

    Found once: a Session looks both up for each request anew, and takes twice the time for it.
    """
    request = PreparedRequest()
    request.url = url
    proxies = get_environ_proxies(url)
    verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    pool = adapter.get_connection_with_tls_context(request, verify, proxies=proxies)
    return cast(urllib3.HTTPConnectionPool, pool), adapter.request_url(request, proxies).rstrip("/")


def parse_json(content: bytes) -> Any:
    """JSON, also where it holds what some libraries write and none may: halves of characters, what is no number."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        text = json.dumps(json.loads(content, parse_constant=lambda _: None), ensure_ascii=False)
        return orjson.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def _parse_page(doc: dict[str, Any]) -> TaskPage:
    docs = doc.get("docs")
    if not isinstance(docs, list):
        raise InvalidResponse("the answer to GET /tasks has no `docs`")
    tasks: list[Task] = []
    parse_errors: list[InvalidResponse] = []
    for task in docs:
        try:
            tasks.append(Task.parse(task))
        except InvalidResponse as error:
            parse_errors.append(error)
    total = doc.get("total")
    return TaskPage(tasks, total if isinstance(total, int) else 0, tuple(parse_errors))


def _error_text(response: urllib3.BaseHTTPResponse) -> str:
    """What the server says is wrong: its `error`, else the status line."""
    try:
        error = orjson.loads(response.data).get("error")
    except (orjson.JSONDecodeError, AttributeError):
        error = None
    return str(error) if error else f"HTTP {response.status} {response.reason or ''}".strip()


def _summarize(error: object) -> str:
    """The gist of a nested network error, on one line: the part after its last object address."""
    return " ".join(str(error).rsplit(">: ", 1)[-1].split())[:160] or type(error).__name__
