"""Reconciliation: find tasks whose creation got no response.

The current API refuses a second task with the same `unique_id`; the 2017 API does not. There a row whose outcome is
unknown is sent again only after a listing that was read at least LISTING_LAG after the lost response shows no task for
it: the listing may show a new task some seconds late.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from labelflow.ledger.context import ConnectedJob
from labelflow.records import PreparedRow
from labelflow.scale.client import ScaleClient
from labelflow.scale.errors import InvalidResponse
from labelflow.scale.models import Task, format_time

CLOCK_SKEW = timedelta(minutes=10)  # how far the server's clock may be from this machine's
LISTING_LAG = 5.0  # seconds that the listing may be behind
INITIAL_DELAY = 0.25  # seconds between two listings; doubles each time

UnrecordedTasks = dict[tuple[str, int], Task]  # by row_id and generation


class TaskReconciler:
    """Shared by the threads that create tasks: rows that wait at the same time share each listing.

    check: raises if nothing more may be sent.
    supports_unique_id: whether the server takes `unique_id`; None until its first response says so.
    """

    def __init__(self, context: ConnectedJob, check: Callable[[], None]) -> None:
        self.supports_unique_id: bool | None = None
        self._context = context
        self._check = check
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, int], datetime] = {}  # row → since when its task may exist
        self._found: UnrecordedTasks = {}
        self._listed_at = float("-inf")

    def find(self, row: PreparedRow, since: datetime) -> Task | None:
        """The task that was created for a row although the response was lost; None if the row may be sent again."""
        key = row.row_id, row.generation
        self._waiting[key] = since - CLOCK_SKEW
        try:
            return self._search_until_certain(key)
        finally:
            del self._waiting[key]

    def find_by_unique_id(self, unique_id: str, *, wait: bool = True) -> Task | None:
        """The task with a `unique_id`. None if there is none, and on a server that does not know `unique_id`.

        wait: whether the task may be so new that the listing does not show it yet.
        """
        deadline = time.monotonic() + (LISTING_LAG if wait else 0.0)
        while self.supports_unique_id is not False:
            for task in self._context.client.find_by_unique_id([unique_id]):
                return task
            if time.monotonic() >= deadline:
                return None
            self._context.stop.sleep(INITIAL_DELAY)
        return None

    def _search_until_certain(self, key: tuple[str, int]) -> Task | None:
        certain_at = time.monotonic() + LISTING_LAG
        delay = INITIAL_DELAY
        while not self.supports_unique_id:
            listed_at, task = self._search(key)
            if task:
                return task
            if listed_at >= certain_at:
                break
            self._context.stop.sleep(min(delay, max(certain_at - time.monotonic(), 0.01)))
            delay *= 2
        self._check()  # the caller creates the task next, which may no longer be allowed
        return None

    def _search(self, key: tuple[str, int]) -> tuple[float, Task | None]:
        """When a listing was started that is at least as new as this call, and the row's task in it."""
        asked_at = time.monotonic()
        with self._lock:
            if self._listed_at < asked_at:
                self._list()
            return self._listed_at, self._found.get(key)

    def _list(self) -> None:
        started_at, waiting = time.monotonic(), self._waiting.copy()
        found: UnrecordedTasks = {}
        job, client = self._context.job, self._context.client
        filters = {"type": job.task_type, "start_time": format_time(min(waiting.values()))}
        for task in list_all_tasks(client, self._check, **filters):
            key = str(task.metadata.get("row_id")), _generation(task)
            if key in waiting and belongs_to_row(task, job.name, key[0]):
                found[key] = task
        self._listed_at, self._found = started_at, found


def belongs_to_row(task: Task, job: str, row_id: str) -> bool:
    """Whether a task was created for a row of a job, according to its metadata."""
    return task.metadata.get("job") == job and task.metadata.get("row_id") == row_id


def list_all_tasks(client: ScaleClient, check: Callable[[], None], **filters: str) -> Iterator[Task]:
    """All tasks of a listing. Raises InvalidResponse if one may be missing: then its absence proves nothing."""
    count, total = 0, 0
    for page in client.list_pages(**filters):
        check()
        yield from page.tasks
        if page.parse_errors:
            raise page.parse_errors[0]
        count, total = count + len(page.tasks), total or page.total
    if count < total:
        raise InvalidResponse(f"the listing has {count} tasks, and its total is {total}")


def find_unrecorded_tasks(context: ConnectedJob, since: datetime, check: Callable[[], None]) -> UnrecordedTasks:
    """The job's tasks that were created since then and are not in the ledger, by row_id and generation."""
    job, found = context.job, UnrecordedTasks()
    filters = {"type": job.task_type, "start_time": format_time(since - CLOCK_SKEW)}
    for task in list_all_tasks(context.client, check, **filters):
        row_id = task.metadata.get("row_id")
        is_own = isinstance(row_id, str) and belongs_to_row(task, job.name, row_id)
        if is_own and not context.ledger.has_task(task.task_id):
            found[str(row_id), _generation(task)] = task._replace(raw={}, response=None)  # they may be many and large
    return found


def _generation(task: Task) -> int:
    generation = task.metadata.get("generation")
    return generation if isinstance(generation, int) else 0
