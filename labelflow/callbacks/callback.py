"""Callbacks: what one must look like, and how those that were acknowledged lie in `_ledger/callbacks/`.

Source: contract A "Callbacks" and "Attachments". The content is used as a task's answer, so only what came with the
account's callback auth key may get here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import orjson

from labelflow.redaction import strip_signatures
from labelflow.scale.errors import InvalidResponse
from labelflow.scale.lenient_json import parse_json
from labelflow.scale.models import Task, TaskStatus

OMITTED_FIELDS = ("params", "instruction")  # of a task: long, the same as what was sent, and full of signed URLs


class InvalidCallback(Exception):
    """What came in is no callback; the message says why."""


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback. `task` is None where the service tells of bad attachments without the task (contract A); then
    even the `task_id` may be missing."""

    task_id: str | None
    task: Task | None
    response: Any

    def to_line(self) -> bytes:
        """As one line of a file, without signatures; what the ledger knows anyway is left out."""
        raw = self.task.raw if self.task else {}
        doc = {"task_id": self.task_id, "response": self.response}
        if self.task:
            doc["task"] = {key: value for key, value in raw.items() if key not in (*OMITTED_FIELDS, "response")}
        return strip_signatures(_json(doc)).encode()

    def to_task(self, task_type: str) -> Task:
        """The task, as far as it is told; its type is the job's. Raises UnexpectedAnswer where not even its id is."""
        if self.task:
            return self.task
        told = {"task_id": self.task_id, "type": task_type, "status": TaskStatus.ERROR.value, "response": self.response}
        return Task.parse(told)


def parse_callback(content: bytes) -> Callback:
    """Read what was POSTed, or a stored line. Raises InvalidCallback."""
    try:
        doc = parse_json(content)
    except (ValueError, RecursionError):
        raise InvalidCallback("the body is no JSON") from None
    if not isinstance(doc, dict):
        raise InvalidCallback("the body is no JSON object")
    return _with_task(doc) if doc.get("task") is not None else _without_task(doc)


def _with_task(doc: dict[str, Any]) -> Callback:
    inner = doc["task"]
    response = inner["response"] if isinstance(inner, dict) and "response" in inner else doc.get("response")
    try:
        task = Task.parse({**inner, "response": response} if isinstance(inner, dict) else inner)
    except InvalidResponse as error:
        raise InvalidCallback(error.message) from None
    if doc.get("task_id", task.task_id) != task.task_id:
        raise InvalidCallback("`task_id` is not the id of `task`")
    if task.status == TaskStatus.COMPLETED and response is None:
        raise InvalidCallback("the task is completed, and `response` is missing")
    return Callback(task.task_id, task, response)


def _without_task(doc: dict[str, Any]) -> Callback:
    response = doc["response"] if isinstance(doc.get("response"), dict) else doc
    if not isinstance(response.get("error"), str):
        raise InvalidCallback("`task` is missing")
    task_id = doc.get("task_id")
    if task_id is not None and (not isinstance(task_id, str) or not task_id):
        raise InvalidCallback("`task_id` is no text")
    return Callback(task_id, None, {key: response[key] for key in ("error", "attachments") if key in response})


def _json(doc: Any) -> str:
    try:
        return orjson.dumps(doc).decode()
    except TypeError:  # nested deeper than orjson writes
        return _deep_json(doc)


def _deep_json(doc: Any) -> str:
    try:
        return json.dumps(doc)
    except RecursionError:
        raise InvalidCallback("the body is nested too deeply") from None
