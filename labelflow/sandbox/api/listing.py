"""`GET /tasks`: filters and pages, newest first. Source: 2017 API, "Task endpoints"; current API."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.datastructures import QueryParams

from labelflow.sandbox.database.records import COLUMNS, TaskRow
from labelflow.sandbox.database.store import Store
from labelflow.sandbox.errors import ApiError
from labelflow.sandbox.settings.api_version import ApiVersion
from labelflow.scale.models import PAGE_LIMIT, TaskStatus, parse_time

MAX_SORTED_MATCHES = 2_000  # up to this, an index on times is used and its matches sorted; above, a scan in order
MAX_CACHED_TOTALS = 256
LIMITED_FIELDS = ("task_id", "status", "metadata", "project")  # the fields of a task with `limited_response`
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Condition:
    """A term of a WHERE clause. is_time: whether its column has an index in another order than `seq`."""

    sql: str
    values: tuple[Any, ...]
    is_time: bool = False


@dataclass(frozen=True, slots=True)
class TaskRowPage:
    """One page of tasks, and the total of matching tasks."""

    rows: list[TaskRow]
    total: int
    limit: int
    offset: int
    has_more: bool

    @property
    def next_token(self) -> str | None:
        """The token of the next page, None on the last page."""
        return f"{self.rows[-1].seq:016x}" if self.has_more else None

    def to_body(self, sink_url: str, limited: bool, with_token: bool) -> dict[str, Any]:
        """Return the response body. Source: 2017 API, "Task endpoints"; `next_token`: current API.

        limited: only LIMITED_FIELDS of each task. with_token: whether the API version has `next_token`.
        """
        docs = [row.to_doc(sink_url) for row in self.rows]
        if limited:
            docs = [{name: doc[name] for name in LIMITED_FIELDS if name in doc} for doc in docs]
        body = {
            "docs": docs,
            "total": self.total,
            "limit": self.limit,
            "offset": self.offset,
            "has_more": self.has_more,
        }
        return {**body, "next_token": self.next_token} if with_token and self.has_more else body


class Listing:
    """Lists the tasks of a store. Totals are cached until the store changes."""

    def __init__(self, store: Store, api_version: ApiVersion) -> None:
        self._store = store
        self._api_version = api_version
        self._totals: dict[tuple[str, tuple[Any, ...]], int] = {}
        self._counted_at_change = -1  # the store's `change_count`

    def page(self, owner: int, query: QueryParams) -> TaskRowPage:
        """Return one page. Raises ApiError (400) for an unknown parameter or an invalid value."""
        params = self._known_params(query)
        limit = _parse_int("limit", params, default=PAGE_LIMIT, minimum=1, maximum=PAGE_LIMIT)
        offset = _parse_int("offset", params, default=0, minimum=0, maximum=2**62)
        conditions = self._visible_conditions([Condition("owner = ?", (owner,)), *_conditions(params)])
        total = self._total(conditions)
        conditions += _token_condition(params)
        clause, values = _where(conditions, in_order=total > MAX_SORTED_MATCHES)
        cursor = self._store.db.execute(
            f"SELECT {COLUMNS} FROM tasks WHERE {clause} ORDER BY seq DESC LIMIT ? OFFSET ?",
            (*values, limit + 1, offset),
        )
        rows = [TaskRow._make(row) for row in cursor]
        return TaskRowPage(rows[:limit], total, limit, offset, has_more=len(rows) > limit)

    def _visible_conditions(self, conditions: list[Condition]) -> list[Condition]:
        """Return the conditions for a task to be listed. For subclasses; unchanged here."""
        return conditions

    def _known_params(self, query: QueryParams) -> dict[str, list[str]]:
        unknown = sorted(set(query) - self._api_version.filters)
        if unknown and self._api_version.strict_filters:
            raise ApiError(400, f"{unknown[0]}: is not a known parameter; remove it or correct its spelling")
        return {name: query.getlist(name) for name in query if name in self._api_version.filters}

    def _total(self, conditions: Sequence[Condition]) -> int:
        if self._counted_at_change != self._store.change_count or len(self._totals) >= MAX_CACHED_TOTALS:
            self._totals.clear()
            self._counted_at_change = self._store.change_count
        clause, values = key = _where(conditions)
        if key not in self._totals:
            count = self._store.db.execute(f"SELECT count(*) FROM tasks WHERE {clause}", values)
            self._totals[key] = count.fetchone()[0]
        return self._totals[key]


def _where(conditions: Sequence[Condition], in_order: bool = False) -> tuple[str, tuple[Any, ...]]:
    """Return a WHERE clause and its values. in_order: without the indexes on times (the plus sign disables them)."""
    terms = [f"+{condition.sql}" if in_order and condition.is_time else condition.sql for condition in conditions]
    return " AND ".join(terms), tuple(value for condition in conditions for value in condition.values)


def _conditions(params: dict[str, list[str]]) -> list[Condition]:
    return [_FILTERS[name](name, values) for name, values in params.items() if name in _FILTERS]


def _is_one_of(name: str, values: list[str]) -> Condition:
    return Condition(f"{name} IN ({_placeholders(values)})", tuple(values))


def _has_status(name: str, values: list[str]) -> Condition:
    for value in values:
        if value not in list(TaskStatus):
            raise ApiError(400, f"{name}: got {value!r}; use one of {', '.join(TaskStatus)}")
    return _is_one_of(name, values)


def _has_any_tag(name: str, values: list[str]) -> Condition:
    """Match tasks with any of the tags."""
    has_tag = f"EXISTS (SELECT 1 FROM json_each({name}) WHERE value IN ({_placeholders(values)}))"
    return Condition(f"{name} IS NOT NULL AND {has_tag}", tuple(values))


def _created_from(name: str, values: list[str]) -> Condition:
    """Match by `seq`: it has the same order as `created_at`."""
    first = "SELECT seq FROM tasks WHERE created_at >= ? ORDER BY created_at, seq LIMIT 1"
    return Condition(f"seq >= ({first})", (_ceil_milliseconds(name, values),))


def _created_until(name: str, values: list[str]) -> Condition:
    return created_until(_floor_milliseconds(name, values))


def created_until(time: int) -> Condition:
    """Match tasks created up to a time, in milliseconds since 1970."""
    last = "SELECT seq FROM tasks WHERE created_at <= ? ORDER BY created_at DESC, seq DESC LIMIT 1"
    return Condition(f"seq <= ({last})", (time,))


def _time_from(column: str) -> Callable[[str, list[str]], Condition]:
    return lambda name, values: Condition(f"{column} >= ?", (_ceil_milliseconds(name, values),), is_time=True)


def _time_until(column: str) -> Callable[[str, list[str]], Condition]:
    return lambda name, values: Condition(f"{column} <= ?", (_floor_milliseconds(name, values),), is_time=True)


_FILTERS: dict[str, Callable[[str, list[str]], Condition]] = {
    "status": _has_status,
    "type": _is_one_of,
    "project": _is_one_of,
    "batch": _is_one_of,
    "unique_id": _is_one_of,
    "tags": _has_any_tag,
    "start_time": _created_from,
    "end_time": _created_until,
    "created_after": _created_from,
    "created_before": _created_until,
    "completed_after": _time_from("completed_at"),
    "completed_before": _time_until("completed_at"),
    "updated_after": _time_from("updated_at"),
    "updated_before": _time_until("updated_at"),
}


def _token_condition(params: dict[str, list[str]]) -> list[Condition]:
    if "next_token" not in params:
        return []
    token = params["next_token"][-1]
    try:
        return [Condition("seq < ?", (int(token, 16) % 2**63,))]
    except ValueError:
        raise ApiError(400, f"next_token: got {token!r}; use the one of the previous page") from None


def _parse_int(name: str, params: dict[str, list[str]], default: int, minimum: int, maximum: int) -> int:
    text = params.get(name, [str(default)])[-1]
    value = int(text) if text.isascii() and text.isdigit() else -1
    if not minimum <= value <= maximum:
        raise ApiError(400, f"{name}: got {text!r}; use a whole number from {minimum} to {maximum}")
    return value


def _ceil_milliseconds(name: str, values: list[str]) -> int:
    return math.ceil(_parse_milliseconds(name, values))


def _floor_milliseconds(name: str, values: list[str]) -> int:
    return math.floor(_parse_milliseconds(name, values))


def _parse_milliseconds(name: str, values: list[str]) -> float:
    moment = parse_time(values[-1])
    if moment is None:
        raise ApiError(400, f"{name}: got {values[-1]!r}; use an ISO 8601 time, such as 2017-08-06T21:31:08.250Z")
    return (moment - EPOCH) / timedelta(milliseconds=1)


def _placeholders(values: list[str]) -> str:
    return ", ".join("?" * len(values))
