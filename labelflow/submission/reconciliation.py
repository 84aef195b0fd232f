"""Find tasks whose answers were lost, on a server that does not know `unique_id` (the 2017 contract).

Its list of tasks may lag: a task that was made is missing from it for some seconds. A row is taken to have no task only
after a list that was read LAG_SECONDS after the answer was lost does not show one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from labelflow.concurrency.stop_token import Stop
from labelflow.jobs.job import Job
from labelflow.ledger.ledger import Ledger
from labelflow.records import BoundRow
from labelflow.scale.client import ScaleClient
from labelflow.scale.errors import UnexpectedAnswer
from labelflow.scale.models import Task, format_time

CLOCK_SKEW = timedelta(minutes=10)  # how far the server's clock may be from ours
LAG_SECONDS = 5.0  # how far the list of tasks may be behind
FIRST_PAUSE = 0.25  # seconds between two looks; they double

Unrecorded = dict[tuple[str, int], Task]  # by row_id and generation


class LostTasks:
    """Shared by the threads that create tasks: rows that wait at the same time share each list.

    check: raises where nothing more may be sent.
    """

    def __init__(self, job: Job, client: ScaleClient, stop: Stop, check: Callable[[], None]) -> None:
        self._job = job
        self._client = client
        self._stop = stop
        self._check = check
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, int], datetime] = {}  # row → since when its task may have been made
        self._found: Unrecorded = {}
        self._listed_at = float("-inf")
        self.server_knows_ids: bool | None = None  # whether it takes `unique_id`: told by its first answer

    def find(self, row: BoundRow, since: datetime) -> Task | None:
        """The row's task, where an answer was lost and the server does not keep a second one out itself."""
        key = row.row_id, row.generation
        self._waiting[key] = since - CLOCK_SKEW
        try:
            return self._look_until_sure(key)
        finally:
            del self._waiting[key]

    def find_holder(self, unique_id: str) -> Task | None:
        """The task that holds a `unique_id`, on a server that has just said that there is one."""
        sure_at = time.monotonic() + LAG_SECONDS
        while True:
            for task in self._client.find_by_unique_id([unique_id]):
                return task
            if time.monotonic() >= sure_at:
                return None
            self._stop.pause(FIRST_PAUSE)

    def _look_until_sure(self, key: tuple[str, int]) -> Task | None:
        sure_at = time.monotonic() + LAG_SECONDS
        pause = FIRST_PAUSE
        while not self.server_knows_ids:
            listed_at, task = self._look(key)
            if task:
                return task
            if listed_at >= sure_at:
                break
            self._stop.pause(min(pause, max(sure_at - time.monotonic(), 0.01)))
            pause *= 2
        self._check()  # the task is created now, which may not be allowed any more
        return None

    def _look(self, key: tuple[str, int]) -> tuple[float, Task | None]:
        """What a list says that was begun just now: this thread's, or another's that waited too."""
        asked_at = time.monotonic()
        with self._lock:
            if self._listed_at < asked_at:
                self._list()
            return self._listed_at, self._found.get(key)

    def _list(self) -> None:
        begun_at, waiting = time.monotonic(), self._waiting.copy()
        found: Unrecorded = {}
        filters = {"type": self._job.task_type, "start_time": format_time(min(waiting.values()))}
        for task in whole_list(self._client, self._check, **filters):
            key = str(task.metadata.get("row_id")), _generation(task)
            if key in waiting and is_for(task, self._job.name, key[0]):
                found[key] = task
        self._listed_at, self._found = begun_at, found


def is_for(task: Task, job: str, row_id: str) -> bool:
    """Whether a task was made for a job's row: its metadata says so."""
    return task.metadata.get("job") == job and task.metadata.get("row_id") == row_id


def whole_list(client: ScaleClient, check: Callable[[], None], **filters: str) -> Iterator[Task]:
    """All tasks of a list. Raises UnexpectedAnswer where one may be missing: what is not in it was not made."""
    seen, total = 0, 0
    for page in client.list_pages(**filters):
        check()
        yield from page.tasks
        if page.unreadable:
            raise page.unreadable[0]
        seen, total = seen + len(page.tasks), total or page.total
    if seen < total:
        raise UnexpectedAnswer(f"the server says that there are {total} tasks, and gives {seen}")


def unrecorded_tasks(
    client: ScaleClient, job: Job, ledger: Ledger, since: datetime, check: Callable[[], None]
) -> Unrecorded:
    """The tasks that were created since then and are not in the ledger, by row_id and generation."""
    found: Unrecorded = {}
    for task in whole_list(client, check, type=job.task_type, start_time=format_time(since - CLOCK_SKEW)):
        row_id = task.metadata.get("row_id")
        if isinstance(row_id, str) and is_for(task, job.name, row_id) and not ledger.has_task(task.task_id):
            found[row_id, _generation(task)] = task
    return found


def _generation(task: Task) -> int:
    generation = task.metadata.get("generation")
    return generation if isinstance(generation, int) else 0
