"""The format of callbacks, as received and as stored in `_ledger/callbacks/`.

Source: docs of the Scale API, "Callbacks"; of the 2017 API, "Attachments". The content becomes a task's answer, so only
requests with the account's callback auth key may be parsed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from labelflow.lenient_json import parse_json
from labelflow.redaction import to_redacted_json
from labelflow.scale.errors import InvalidResponse
from labelflow.scale.models import Task, TaskStatus

OMITTED_FIELDS = ("params", "instruction")  # of a task: long, known from the request, and they contain signed URLs


class InvalidCallback(Exception):
    """The content is not a valid callback; the message says why."""


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback. `task` is None if the service reports invalid attachments without the task, as the 2017 API does;
    then `task_id` may be None, too. size: of its JSON, in bytes."""

    task_id: str | None
    task: Task | None
    response: Any
    size: int = field(default=0, compare=False)

    def to_line(self) -> bytes:
        """Return the callback as one line of JSON, without URL signatures and OMITTED_FIELDS."""
        raw = self.task.raw if self.task else {}
        doc = {"task_id": self.task_id, "response": self.response}
        if self.task:
            doc["task"] = {key: value for key, value in raw.items() if key not in (*OMITTED_FIELDS, "response")}
        return to_redacted_json(doc).encode()

    def to_task(self, task_type: str) -> Task:
        """Return the task; without one, a failed task of the job's type. Raises InvalidResponse without a task id."""
        if self.task:
            return self.task
        failed = {
            "task_id": self.task_id,
            "type": task_type,
            "status": TaskStatus.ERROR.value,
            "response": self.response,
        }
        return Task.parse(failed)


def parse_callback(content: bytes) -> Callback:
    """Parse the body of a POST, or a stored line. Raises InvalidCallback."""
    try:
        doc = parse_json(content)
    except ValueError:
        raise InvalidCallback("the body is not valid JSON") from None
    if not isinstance(doc, dict):
        raise InvalidCallback("the body is not a JSON object")
    callback = _with_task(doc) if doc.get("task") is not None else _without_task(doc)
    return replace(callback, size=len(content))


def _with_task(doc: dict[str, Any]) -> Callback:
    inner = doc["task"]
    response = inner["response"] if isinstance(inner, dict) and "response" in inner else doc.get("response")
    try:
        task = Task.parse({**inner, "response": response} if isinstance(inner, dict) else inner)
    except InvalidResponse as error:
        raise InvalidCallback(error.message) from None
    if doc.get("task_id", task.task_id) != task.task_id:
        raise InvalidCallback("`task_id` differs from the id of `task`")
    if task.status == TaskStatus.COMPLETED and response is None:
        raise InvalidCallback("the task is completed, but `response` is missing")
    return Callback(task.task_id, task, response)


def _without_task(doc: dict[str, Any]) -> Callback:
    response = doc["response"] if isinstance(doc.get("response"), dict) else doc
    if not isinstance(response.get("error"), str):
        raise InvalidCallback("`task` is missing")
    task_id = doc.get("task_id")
    if task_id is not None and (not isinstance(task_id, str) or not task_id):
        raise InvalidCallback("`task_id` is not a string, or empty")
    return Callback(task_id, None, {key: response[key] for key in ("error", "attachments") if key in response})
