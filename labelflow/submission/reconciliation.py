"""Find tasks whose answers were lost, on a server that does not know `unique_id` (the 2017 contract).

Its list of tasks may lag: a task that was made is missing from it for some seconds. A row is taken to have no task only
after a list that was read LISTING_LAG after the answer was lost does not show one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from labelflow.concurrency.stop_token import StopToken
from labelflow.jobs.job import Job
from labelflow.ledger.ledger import Ledger
from labelflow.records import PreparedRow
from labelflow.scale.client import ScaleClient
from labelflow.scale.errors import InvalidResponse
from labelflow.scale.models import Task, format_time

CLOCK_SKEW = timedelta(minutes=10)  # how far the server's clock may be from ours
LISTING_LAG = 5.0  # how far the list of tasks may be behind
INITIAL_DELAY = 0.25  # seconds between two looks; they double

UnrecordedTasks = dict[tuple[str, int], Task]  # by row_id and generation


class TaskReconciler:
    """Shared by the threads that create tasks: rows that wait at the same time share each list.

    check: raises where nothing more may be sent.
    """

    def __init__(self, job: Job, client: ScaleClient, stop: StopToken, check: Callable[[], None]) -> None:
        self._job = job
        self._client = client
        self._stop = stop
        self._check = check
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, int], datetime] = {}  # row → since when its task may have been made
        self._found: UnrecordedTasks = {}
        self._listed_at = float("-inf")
        self.supports_unique_id: bool | None = None  # whether it takes `unique_id`: told by its first answer

    def find(self, row: PreparedRow, since: datetime) -> Task | None:
        """The row's task, where an answer was lost and the server does not keep a second one out itself."""
        key = row.row_id, row.generation
        self._waiting[key] = since - CLOCK_SKEW
        try:
            return self._search_until_certain(key)
        finally:
            del self._waiting[key]

    def find_by_unique_id(self, unique_id: str) -> Task | None:
        """The task that holds a `unique_id`, on a server that has just said that there is one."""
        sure_at = time.monotonic() + LISTING_LAG
        while True:
            for task in self._client.find_by_unique_id([unique_id]):
                return task
            if time.monotonic() >= sure_at:
                return None
            self._stop.sleep(INITIAL_DELAY)

    def _search_until_certain(self, key: tuple[str, int]) -> Task | None:
        sure_at = time.monotonic() + LISTING_LAG
        pause = INITIAL_DELAY
        while not self.supports_unique_id:
            listed_at, task = self._search(key)
            if task:
                return task
            if listed_at >= sure_at:
                break
            self._stop.sleep(min(pause, max(sure_at - time.monotonic(), 0.01)))
            pause *= 2
        self._check()  # the task is created now, which may not be allowed any more
        return None

    def _search(self, key: tuple[str, int]) -> tuple[float, Task | None]:
        """What a list says that was begun just now: this thread's, or another's that waited too."""
        asked_at = time.monotonic()
        with self._lock:
            if self._listed_at < asked_at:
                self._list()
            return self._listed_at, self._found.get(key)

    def _list(self) -> None:
        begun_at, waiting = time.monotonic(), self._waiting.copy()
        found: UnrecordedTasks = {}
        filters = {"type": self._job.task_type, "start_time": format_time(min(waiting.values()))}
        for task in list_all_tasks(self._client, self._check, **filters):
            key = str(task.metadata.get("row_id")), _generation(task)
            if key in waiting and belongs_to_row(task, self._job.name, key[0]):
                found[key] = task
        self._listed_at, self._found = begun_at, found


def belongs_to_row(task: Task, job: str, row_id: str) -> bool:
    """Whether a task was made for a job's row: its metadata says so."""
    return task.metadata.get("job") == job and task.metadata.get("row_id") == row_id


def list_all_tasks(client: ScaleClient, check: Callable[[], None], **filters: str) -> Iterator[Task]:
    """All tasks of a list. Raises UnexpectedAnswer where one may be missing: what is not in it was not made."""
    seen, total = 0, 0
    for page in client.list_pages(**filters):
        check()
        yield from page.tasks
        if page.parse_errors:
            raise page.parse_errors[0]
        seen, total = seen + len(page.tasks), total or page.total
    if seen < total:
        raise InvalidResponse(f"the server says that there are {total} tasks, and gives {seen}")


def find_unrecorded_tasks(
    client: ScaleClient, job: Job, ledger: Ledger, since: datetime, check: Callable[[], None]
) -> UnrecordedTasks:
    """The tasks that were created since then and are not in the ledger, by row_id and generation."""
    found: UnrecordedTasks = {}
    for task in list_all_tasks(client, check, type=job.task_type, start_time=format_time(since - CLOCK_SKEW)):
        row_id = task.metadata.get("row_id")
        if isinstance(row_id, str) and belongs_to_row(task, job.name, row_id) and not ledger.has_task(task.task_id):
            found[row_id, _generation(task)] = task
    return found


def _generation(task: Task) -> int:
    generation = task.metadata.get("generation")
    return generation if isinstance(generation, int) else 0
