"""`GET /tasks`: filters and pages, newest first. Source: contract A "Task endpoints", contract B."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.datastructures import QueryParams

from labelflow.sandbox.database.records import COLUMNS, Row
from labelflow.sandbox.database.store import Store
from labelflow.sandbox.errors import Refused
from labelflow.sandbox.settings.api_version import Dialect
from labelflow.scale.models import PAGE_LIMIT, TaskStatus, parse_time

FEW = 2_000  # so many matches are found through an index on times, and sorted; more are walked through in order
KEPT_TOTALS = 256
LIMITED = ("task_id", "status", "metadata", "project")  # what `limited_response` leaves of a task
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Condition:
    """A piece of a WHERE clause; is_time: its column has an index of its own, in another order than ours."""

    sql: str
    values: tuple[Any, ...]
    is_time: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of tasks, and how many match in all."""

    rows: list[Row]
    total: int
    limit: int
    offset: int
    has_more: bool

    @property
    def next_token(self) -> str | None:
        """Where the next page starts, None where there is none."""
        return f"{self.rows[-1].seq:016x}" if self.has_more else None

    def answer(self, sink: str, limited: bool, with_token: bool) -> dict[str, Any]:
        """The answer's body. Source: contract A "Task endpoints", contract B for `next_token`."""
        docs = [row.doc(sink) for row in self.rows]
        if limited:
            docs = [{name: doc[name] for name in LIMITED if name in doc} for doc in docs]
        answer = {
            "docs": docs,
            "total": self.total,
            "limit": self.limit,
            "offset": self.offset,
            "has_more": self.has_more,
        }
        return {**answer, "next_token": self.next_token} if with_token and self.has_more else answer


class Listing:
    """Answers `GET /tasks` from a store. Totals are counted anew only where something has changed."""

    def __init__(self, store: Store, dialect: Dialect) -> None:
        self._store = store
        self._dialect = dialect
        self._totals: dict[tuple[str, tuple[Any, ...]], int] = {}
        self._counted_at = -1  # the store's changes

    def page(self, owner: int, query: QueryParams) -> Listed:
        """One page. Raises Refused (400) for a parameter that is unknown or has a wrong value."""
        given = self._known(query)
        limit = _whole("limit", given, default=PAGE_LIMIT, least=1, most=PAGE_LIMIT)
        offset = _whole("offset", given, default=0, least=0, most=2**62)
        conditions = self._shown([Condition("owner = ?", (owner,)), *_conditions(given)])
        total = self._total(conditions)
        conditions += _after_token(given)
        clause, values = _where(conditions, in_order=total > FEW)
        found = self._store.db.execute(
            f"SELECT {COLUMNS} FROM tasks WHERE {clause} ORDER BY seq DESC LIMIT ? OFFSET ?",
            (*values, limit + 1, offset),
        )
        rows = [Row._make(row) for row in found]
        return Listed(rows[:limit], total, limit, offset, has_more=len(rows) > limit)

    def _shown(self, conditions: list[Condition]) -> list[Condition]:
        """The conditions that a task must meet to be listed: those given, and no more."""
        return conditions

    def _known(self, query: QueryParams) -> dict[str, list[str]]:
        unknown = sorted(set(query) - self._dialect.filters)
        if unknown and self._dialect.strict_filters:
            raise Refused(400, f"{unknown[0]}: is not a known parameter; remove it, or correct its spelling")
        return {name: query.getlist(name) for name in query if name in self._dialect.filters}

    def _total(self, conditions: Sequence[Condition]) -> int:
        if self._counted_at != self._store.changes or len(self._totals) >= KEPT_TOTALS:
            self._totals.clear()
            self._counted_at = self._store.changes
        clause, values = key = _where(conditions)
        if key not in self._totals:
            count = self._store.db.execute(f"SELECT count(*) FROM tasks WHERE {clause}", values)
            self._totals[key] = count.fetchone()[0]
        return self._totals[key]


def _where(conditions: Sequence[Condition], in_order: bool = False) -> tuple[str, tuple[Any, ...]]:
    """A WHERE clause and its values; in_order: without the indexes on times (the plus sign forbids them)."""
    clause = " AND ".join(f"+{one.sql}" if in_order and one.is_time else one.sql for one in conditions)
    return clause, tuple(value for one in conditions for value in one.values)


def _conditions(given: dict[str, list[str]]) -> list[Condition]:
    return [_FILTERS[name](name, values) for name, values in given.items() if name in _FILTERS]


def _one_of(name: str, values: list[str]) -> Condition:
    return Condition(f"{name} IN ({_marks(values)})", tuple(values))


def _status(name: str, values: list[str]) -> Condition:
    for value in values:
        if value not in list(TaskStatus):
            raise Refused(400, f"{name}: was {value!r}; use one of {', '.join(TaskStatus)}")
    return _one_of(name, values)


def _tagged(name: str, values: list[str]) -> Condition:
    """Tasks with any of the tags."""
    tagged = f"EXISTS (SELECT 1 FROM json_each({name}) WHERE value IN ({_marks(values)}))"
    return Condition(f"{name} IS NOT NULL AND {tagged}", tuple(values))


def _created_from(name: str, values: list[str]) -> Condition:
    """Tasks are numbered in the order of `created_at`: a time is a place in that order."""
    first = "SELECT seq FROM tasks WHERE created_at >= ? ORDER BY created_at, seq LIMIT 1"
    return Condition(f"seq >= ({first})", (_from(name, values),))


def _created_until(name: str, values: list[str]) -> Condition:
    return created_until(_until(name, values))


def created_until(time: int) -> Condition:
    """Tasks that were created by then, in milliseconds since 1970."""
    last = "SELECT seq FROM tasks WHERE created_at <= ? ORDER BY created_at DESC, seq DESC LIMIT 1"
    return Condition(f"seq <= ({last})", (time,))


def _time_from(column: str) -> Callable[[str, list[str]], Condition]:
    return lambda name, values: Condition(f"{column} >= ?", (_from(name, values),), is_time=True)


def _time_until(column: str) -> Callable[[str, list[str]], Condition]:
    return lambda name, values: Condition(f"{column} <= ?", (_until(name, values),), is_time=True)


_FILTERS: dict[str, Callable[[str, list[str]], Condition]] = {
    "status": _status,
    "type": _one_of,
    "project": _one_of,
    "batch": _one_of,
    "unique_id": _one_of,
    "tags": _tagged,
    "start_time": _created_from,
    "end_time": _created_until,
    "created_after": _created_from,
    "created_before": _created_until,
    "completed_after": _time_from("completed_at"),
    "completed_before": _time_until("completed_at"),
    "updated_after": _time_from("updated_at"),
    "updated_before": _time_until("updated_at"),
}


def _after_token(given: dict[str, list[str]]) -> list[Condition]:
    if "next_token" not in given:
        return []
    token = given["next_token"][-1]
    try:
        return [Condition("seq < ?", (int(token, 16) % 2**63,))]
    except ValueError:
        raise Refused(400, f"next_token: was {token!r}; use the one that the page before gave") from None


def _whole(name: str, given: dict[str, list[str]], default: int, least: int, most: int) -> int:
    text = given.get(name, [str(default)])[-1]
    value = int(text) if text.isascii() and text.isdigit() else -1
    if not least <= value <= most:
        raise Refused(400, f"{name}: was {text!r}; use a whole number from {least} to {most}")
    return value


def _from(name: str, values: list[str]) -> int:
    return math.ceil(_milliseconds(name, values))


def _until(name: str, values: list[str]) -> int:
    return math.floor(_milliseconds(name, values))


def _milliseconds(name: str, values: list[str]) -> float:
    moment = parse_time(values[-1])
    if moment is None:
        raise Refused(400, f"{name}: was {values[-1]!r}; use an ISO 8601 time, such as 2017-08-06T21:31:08.250Z")
    return (moment - EPOCH) / timedelta(milliseconds=1)


def _marks(values: list[str]) -> str:
    return ", ".join("?" * len(values))
