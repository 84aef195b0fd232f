"""This machine's clock is wrong: times that are compared with the server's come from the server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from labelflow.errors import NotRecorded
from labelflow.jobs.job import Job
from labelflow.ledger.ledger import Ledger
from labelflow.scale.models import parse_time
from tests.conftest import StubServer
from tests.submission.test_submitter import FAULTS, ROWS, FaultyApi, job, on_every_third
from tests.support.run_job import label

__all__ = ["job"]  # a fixture

MINUTES = pytest.mark.parametrize("minutes", [-15, 15], ids=["local clock ahead", "local clock behind"])


class OtherClockApi(FaultyApi):
    """The 2017 API on a server with another clock: its listing filters by its own times of creation."""

    def __init__(self, stub_server: StubServer, minutes: int, fault: Any) -> None:
        super().__init__(stub_server, False, fault)
        self._offset = timedelta(minutes=minutes)
        stub_server.clock_offset = self._offset.total_seconds()

    def _create(self, request: dict[str, Any]) -> tuple[int, Any, dict[str, str]] | None:
        count = len(self.tasks)
        response = super()._create(request)
        for task in self.tasks[count:]:
            task["created_at"] = task["completed_at"] = (datetime.now(UTC) + self._offset).isoformat()
        return response

    def _list(self, query: dict[str, list[str]]) -> tuple[int, Any, dict[str, str]]:
        status, content, headers = super()._list(query)
        start, end = (parse_time(query.get(name, [""])[0]) for name in ("start_time", "end_time"))
        docs = [task for task in content["docs"] if _is_between(parse_time(task["created_at"]), start, end)]
        return status, {**content, "docs": docs, "total": len(docs)}, headers


def _is_between(moment: datetime | None, start: datetime | None, end: datetime | None) -> bool:
    return moment is not None and (start is None or start <= moment) and (end is None or moment <= end)


@MINUTES
@pytest.mark.parametrize("sends_date", [True, False])
def test_tasks_of_a_crashed_run_are_found(
    minutes: int, sends_date: bool, stub_server: StubServer, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub_server.sends_date = sends_date
    api = OtherClockApi(stub_server, minutes, lambda *_: None)
    with monkeypatch.context() as crash:
        crash.setattr(Ledger, "record", lambda *_: (_ for _ in ()).throw(ZeroDivisionError))
        with pytest.raises(NotRecorded):
            label(job, wait=False)
    assert len(api.tasks) == ROWS
    summary = label(job, wait=False)
    assert (summary.recovered, summary.created, len(api.tasks)) == (ROWS, 0, ROWS)


@MINUTES
@pytest.mark.parametrize("sends_date", [True, False])
def test_tasks_of_lost_responses_are_found(minutes: int, sends_date: bool, stub_server: StubServer, job: Job) -> None:
    stub_server.sends_date = sends_date
    api = OtherClockApi(stub_server, minutes, on_every_third(FAULTS["dropped after"]))
    summary = label(job, wait=False)
    assert (summary.labeled, len(api.tasks)) == (ROWS, ROWS)
