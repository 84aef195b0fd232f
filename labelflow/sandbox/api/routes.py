"""The endpoints. Source: 2017 API, "Creating" and "Task endpoints"; current API for those marked so."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from labelflow.sandbox.api.auth import authenticate
from labelflow.sandbox.api.listing import Listing
from labelflow.sandbox.api.request_body import read_json, read_params
from labelflow.sandbox.api.task_request import parse_new_task, to_json
from labelflow.sandbox.database.records import TaskRow
from labelflow.sandbox.database.store import Store
from labelflow.sandbox.errors import ApiError
from labelflow.sandbox.settings.options import Options
from labelflow.scale.models import TaskStatus
from labelflow.scale.task_types import CommonParams, task_type


class Api:
    """Request handlers over a store."""

    def __init__(self, store: Store, options: Options, listing: Listing) -> None:
        self._store = store
        self._options = options
        self._listing = listing

    def routes(self) -> list[Route]:
        """Return the endpoints of the API version."""
        routes = [
            Route("/v1/task/{type}", self.create, methods=["POST"]),
            Route("/v1/task/{task_id}", self.get, methods=["GET"]),
            Route("/v1/tasks", self.list, methods=["GET"]),
            Route("/v1/task/{task_id}/cancel", self.cancel, methods=["POST"]),
            Route("/callback-sink", self.sink, methods=["POST"]),
        ]
        additions = [
            Route("/v1/task/{task_id}/unique_id", self.set_unique_id, methods=["POST"]),
            Route("/v1/task/{task_id}/unique_id", self.clear_unique_id, methods=["DELETE"]),
            Route("/v1/task/{task_id}/setMetadata", self.set_metadata, methods=["POST"]),
            Route("/v1/task/{task_id}/tags", self.change_tags, methods=["POST", "PUT", "DELETE"]),
        ]
        return [*routes, *additions] if self._options.api_version.has_additions else routes

    async def create(self, request: Request) -> Response:
        """`POST /task/{type}`"""
        account = authenticate(request.headers.get("authorization"))
        name = request.path_params["type"]
        params = await read_params(request, task_type(name).params, CommonParams)
        return self._task_response(await self._store.create(account, parse_new_task(name, params, self._options)))

    async def get(self, request: Request) -> Response:
        """`GET /task/{task_id}`"""
        return self._task_response(self._row(request))

    async def list(self, request: Request) -> Response:
        """`GET /tasks`"""
        account = authenticate(request.headers.get("authorization"))
        page = self._listing.page(account.owner, request.query_params)
        limited = _is_true(request, "limited_response")
        return json_response(page.to_body(self._options.sink_url, limited, self._options.api_version.has_additions))

    async def cancel(self, request: Request) -> Response:
        """`POST /task/{task_id}/cancel`; `clear_unique_id`: current API."""
        row = self._row(request)
        if not row.is_pending:
            message = f"Task {row.task_id} is {row.status}: only a pending task can be canceled."
            raise ApiError(self._options.api_version.cancel_rejected_status, message)
        cleared = {"unique_id": None} if _is_true(request, "clear_unique_id") else {}
        return self._task_response(self._store.update(row, status=TaskStatus.CANCELED, **cleared))

    async def set_unique_id(self, request: Request) -> Response:
        """`POST /task/{task_id}/unique_id` (current API)"""
        row = self._row(request)
        body = await read_json(request)
        unique_id = body.get("unique_id") if isinstance(body, dict) else None
        if not isinstance(unique_id, str) or not unique_id:
            raise ApiError(400, "unique_id: is required; use a non-empty string")
        return self._task_response(self._store.update(row, unique_id=unique_id))

    async def clear_unique_id(self, request: Request) -> Response:
        """`DELETE /task/{task_id}/unique_id` (current API)"""
        return self._task_response(self._store.update(self._row(request), unique_id=None))

    async def set_metadata(self, request: Request) -> Response:
        """`POST /task/{task_id}/setMetadata` (current API)"""
        row = self._row(request)
        metadata = await read_json(request)
        if not isinstance(metadata, dict):
            raise ApiError(400, "metadata: the body must be a JSON object, which replaces the metadata")
        return self._task_response(self._store.update(row, metadata=to_json(metadata)))

    async def change_tags(self, request: Request) -> Response:
        """`POST`, `PUT` and `DELETE /task/{task_id}/tags`: set, add, remove (current API)"""
        row = self._row(request)
        requested = await read_json(request)
        if not isinstance(requested, list) or not all(isinstance(tag, str) for tag in requested):
            raise ApiError(400, "tags: the body must be a JSON list of strings")
        tags = _apply_tags(request.method, orjson.loads(row.tags or "[]"), requested)
        return self._task_response(self._store.update(row, tags=to_json(tags)))

    async def sink(self, request: Request) -> Response:
        """`POST /callback-sink`: accept a callback and discard it."""
        return Response(status_code=204)

    def _row(self, request: Request) -> TaskRow:
        """Return the task in the path. Raises ApiError (401, 404)."""
        account = authenticate(request.headers.get("authorization"))
        return self._store.get(account.owner, request.path_params["task_id"])

    def _task_response(self, row: TaskRow) -> Response:
        return json_response(row.to_doc(self._options.sink_url))


def json_response(content: Any, status: int = 200) -> Response:
    """Return a JSON response."""
    return Response(orjson.dumps(content), status, media_type="application/json")


def _is_true(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() == "true"


def _apply_tags(method: str, existing: list[str], requested: list[str]) -> list[str]:
    if method == "DELETE":
        return [tag for tag in existing if tag not in requested]
    return list(dict.fromkeys(requested if method == "POST" else [*existing, *requested]))
