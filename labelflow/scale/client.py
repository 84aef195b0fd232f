"""Client of the Scale API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from urllib.parse import quote, urlencode

from labelflow.lenient_json import dump_json
from labelflow.scale.errors import InvalidRequest, InvalidResponse, RateLimited, ResponseTooLarge
from labelflow.scale.models import LIVE_URL, PAGE_LIMIT, Task, TaskStatus
from labelflow.scale.rate_limiter import RateLimiter
from labelflow.scale.retry import RetryPolicy, Sleep, call_with_retries
from labelflow.scale.transport import HttpTransport, Reply

CONNECT_TIMEOUT = 10.0  # seconds
READ_TIMEOUT = 20.0  # seconds, for a whole response
MAX_CLOCK_ERROR = timedelta(days=1)  # of this machine, where responses have no `Date`
PAGE_BYTES = 8 << 20  # of a page of tasks; if they are large, the next page has fewer


@dataclass(frozen=True, slots=True)
class TaskPage:
    """One page of tasks, newest first.

    total: how many tasks match in all, 0 if the server does not report it.
    parse_errors: one error for each entry of the page that is not a task.
    """

    tasks: list[Task]
    total: int
    parse_errors: tuple[InvalidResponse, ...] = ()


class ScaleClient:
    """Client of the Scale API for one key. Thread-safe; threads share the connections.

    key: never printed, never part of an error.
    url: the base URL of the API, with `/v1`.
    connections: how many requests may be in flight; further threads wait for a free connection.
    timeout: seconds to connect, and seconds for a whole response, headers and body.
    retry: how failed calls are repeated; the default is `RetryPolicy()`.
    rate_limiter: limits how many tasks are created per second; None does not limit them.
    sleep: waits between attempts; may raise to abort the call.
    redact: removes secrets from what the server says; an error message may quote the request.

    server_time: the server's time at this moment, if it is known; see `now`.

    Calls raise the errors of `labelflow.scale.errors`; those with `retryable` only after the retries.

        with ScaleClient("test_key", "http://127.0.0.1:4020/v1") as client:
            task = client.create_task("annotation", {"attachment": url, "objects_to_annotate": ["car"]})
            print(client.get_task(task.task_id).status)
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
        server_time: datetime | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._transport = HttpTransport(key, self._url, connections, timeout, redact, server_time)
        self._retry = retry or RetryPolicy()
        self._rate_limiter = rate_limiter
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"ScaleClient({self._url})"

    def __enter__(self) -> ScaleClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def server_time(self) -> datetime | None:
        """The server's time (UTC), from the `Date` of its responses; None where they have none."""
        return self._transport.server_time

    def now(self) -> datetime:
        """The server's time (UTC); where it is not known, this machine's."""
        return self.server_time or datetime.now(UTC)

    def earliest_now(self) -> datetime:
        """A time that is not after the server's (UTC): where that is not known, a day before this machine's.

        A search for a task that is created from now on must start here: this machine's clock may be wrong.
        """
        return self.server_time or datetime.now(UTC) - MAX_CLOCK_ERROR

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def create_task(
        self, task_type: str, body: Mapping[str, Any], recover: Callable[[], Task | None] | None = None
    ) -> Task:
        """Create a task: `POST /task/{type}`. Source: 2017 API, "Creating".

        recover: finds the task if a response was lost and the server may have created it; see `call_with_retries`.
        Raises Duplicate if the server supports `unique_id` and another task has it. An error whose `outcome_unknown` is
        true may have been preceded by an attempt that created the task, even if it is a refusal.
        """
        payload = dump_json(body)
        path = f"/task/{quote(task_type, safe='')}"

        def create() -> Task:
            if self._rate_limiter:
                self._rate_limiter.wait()
            try:
                return Task.parse(self._send("POST", path, payload).content)
            except RateLimited as error:
                if self._rate_limiter:
                    self._rate_limiter.back_off(error.retry_after)
                raise

        return call_with_retries(create, self._retry, self._sleep, recover)

    def get_task(self, task_id: str) -> Task:
        """Return a task: `GET /task/{task_id}`. Raises NotFound. Source: 2017 API, "Task endpoints"."""
        return Task.parse(self._call("GET", f"/task/{quote(task_id, safe='')}").content)

    def cancel_task(self, task_id: str, clear_unique_id: bool = False) -> Task:
        """Cancel a pending task: `POST /task/{task_id}/cancel`. Source: 2017 API, "Task endpoints".

        clear_unique_id: free its `unique_id` for another task (current API).
        Returns the task as it is afterwards: canceled, or unchanged if it was no longer pending. Raises NotFound.
        """
        query = "?clear_unique_id=true" if clear_unique_id else ""
        path = f"/task/{quote(task_id, safe='')}/cancel{query}"

        def get_if_not_pending() -> Task | None:
            task = self.get_task(task_id)
            return None if task.status == TaskStatus.PENDING else task

        try:
            # The 2017 API answers 500 for a completed task, as for a failure: the task's status distinguishes the two.
            return call_with_retries(
                lambda: Task.parse(self._send("POST", path, b"{}").content),
                self._retry,
                self._sleep,
                get_if_not_pending,
            )
        except InvalidRequest:
            task = get_if_not_pending()
            if task is None:
                raise
            return task

    def list_pages(self, **filters: Any) -> Iterator[TaskPage]:
        """Yield pages of tasks, newest first: `GET /tasks`. Source: 2017 API, "Task endpoints"; current API.

        filters: query parameters; a value may be a list.
        Follows `next_token` if the server gives one, else `offset`. A page has fewer tasks after a large one.
        Raises InvalidResponse for an empty page with `has_more`, or if a page repeats; ResponseTooLarge for a single
        task that is too large.
        """
        query: dict[str, Any] = {"limit": PAGE_LIMIT, **filters}
        max_limit = query["limit"]
        offset = 0
        first_ids: set[str] = set()  # the first task of each page
        while True:
            try:
                reply = self._call("GET", "/tasks?" + urlencode(query, doseq=True))
            except ResponseTooLarge:
                if query["limit"] <= 1:
                    raise
                query["limit"] = max(1, query["limit"] // 10)
                continue
            doc = reply.content
            page = _parse_page(doc)
            query["limit"] = min(max_limit, max(1, PAGE_BYTES * len(doc["docs"]) // reply.size))
            yield page
            offset += len(page.tasks) + len(page.parse_errors)
            if not doc.get("has_more", offset < page.total):
                return
            if not doc["docs"]:
                raise InvalidResponse("`has_more` is true but the page is empty")
            first_id = page.tasks[0].task_id if page.tasks else ""
            if first_id in first_ids:
                raise InvalidResponse("pagination does not advance: the same page was returned twice")
            first_ids.add(first_id)
            if doc.get("next_token"):
                query["next_token"] = doc["next_token"]
            else:
                query["offset"] = offset

    def list_tasks(self, **filters: Any) -> Iterator[Task]:
        """Yield the tasks of all pages; see `list_pages`. Raises InvalidResponse for an entry that is not a task."""
        for page in self.list_pages(**filters):
            yield from page.tasks
            if page.parse_errors:
                raise page.parse_errors[0]

    def supports_unique_id(self) -> bool:
        """Return whether the server has the current API, which rejects unknown parameters with a 400."""
        try:
            self._call("GET", "/tasks?" + urlencode({"limit": 1, "contract": "B"}))
        except InvalidRequest:
            return True
        return False

    def find_by_unique_id(self, unique_ids: Sequence[str]) -> list[Task]:
        """Return the tasks that have one of these ids. Source: current API.

        Raises InvalidRequest for more than 100 ids.
        """
        if not unique_ids:
            return []
        if len(unique_ids) > PAGE_LIMIT:
            raise InvalidRequest(f"{len(unique_ids)} ids in one request; the maximum is {PAGE_LIMIT}")
        requested = set(unique_ids)
        # There is a task for each id at most. A server that ignores the filter returns other tasks, on many pages.
        tasks = islice(self.list_tasks(unique_id=list(unique_ids)), PAGE_LIMIT)
        return [task for task in tasks if task.unique_id in requested]

    def _call(self, method: str, path: str) -> Reply:
        return call_with_retries(lambda: self._send(method, path), self._retry, self._sleep)

    def _send(self, method: str, path: str, body: bytes | None = None) -> Reply:
        return self._transport.send(method, path, body)


def _parse_page(doc: dict[str, Any]) -> TaskPage:
    docs = doc.get("docs")
    if not isinstance(docs, list):
        raise InvalidResponse("the response to GET /tasks has no `docs`")
    tasks: list[Task] = []
    parse_errors: list[InvalidResponse] = []
    for entry in docs:
        try:
            tasks.append(Task.parse(entry))
        except InvalidResponse as error:
            parse_errors.append(error)
    total = doc.get("total")
    return TaskPage(tasks, total if isinstance(total, int) else 0, tuple(parse_errors))
