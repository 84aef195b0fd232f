"""Answers as rows of labels/ and errors/: column by column, for thousands of them at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter, ValidationError

from labelflow.jobs.job import Job
from labelflow.outputs.answer import Answer
from labelflow.outputs.outcomes import ERRORS, LABELS
from labelflow.scale.task_types import task_type
from labelflow.tables.schemas import error_schema, label_schema

Column: TypeAlias = "pa.Array[Any] | pa.ChunkedArray[Any]"


class AnswerTables:
    """Makes tables of a job's answers. unexpected: how many had another shape than the promised one."""

    def __init__(self, job: Job, source_type: pa.DataType) -> None:
        kind = task_type(job.task_type)
        self._typed = kind.columns(job.task)
        self._responses: TypeAdapter[Any] = TypeAdapter(list[kind.response])  # type: ignore[name-defined]
        self._schemas = {LABELS: label_schema(job.task, source_type), ERRORS: error_schema(source_type)}
        self.unparsed = 0

    def table(self, prefix: str, answers: Sequence[Answer], submissions: pa.Table) -> pa.Table:
        """Rows of labels/ or errors/; submissions: those that the answers are to, in the same order."""
        schema = self._schemas[prefix]
        outcome = self._labels(answers) if prefix == LABELS else _failures(answers)
        columns = {**_identity(answers, submissions), **outcome}
        return pa.table([columns[name] for name in schema.names], schema=schema)

    def _labels(self, answers: Sequence[Answer]) -> dict[str, Column]:
        """What people said, in the columns of the type; nulls for an answer of another shape."""
        responses = [answer.response for answer in answers]
        bad: set[Any] = set()
        try:
            read = self._responses.validate_python(responses)
        except ValidationError as error:
            bad = {
                each["loc"][0] for each in error.errors(include_url=False, include_context=False, include_input=False)
            }
            read = self._responses.validate_python([one for place, one in enumerate(responses) if place not in bad])
        self.unparsed += len(bad)
        names = {field.name for field in self._typed}
        said: list[Any] = self._responses.dump_python(read, include={"__all__": names})
        for place in sorted(bad):
            said.insert(place, {})
        return {field.name: _column(field.type, (one.get(field.name) for one in said)) for field in self._typed}


def _identity(answers: Sequence[Answer], submissions: pa.Table) -> dict[str, Column]:
    """The columns that every answer has, whatever its type."""
    single, several = _by_number(submissions["attachments"].combine_chunks())
    created = submissions["created_at"]
    return {
        "row_id": submissions["row_id"],
        "task_id": pa.array([answer.task_id for answer in answers], pa.string()),
        "unique_id": submissions["unique_id"],
        "task_type": pa.array([answer.task_type for answer in answers], pa.string()),
        "created_at": pc.coalesce(pa.array([answer.created_at for answer in answers], created.type), created),
        "completed_at": pa.array([answer.completed_at for answer in answers], created.type),
        "updated_at": pa.array([answer.updated_at for answer in answers], created.type),
        "attachment": single,
        "attachments": several,
        "source": submissions["source"],
        "response_json": pa.array([answer.response_json for answer in answers], pa.string()),
    }


def _failures(answers: Sequence[Answer]) -> dict[str, Column]:
    return {
        "status": pa.array([answer.outcome.value for answer in answers], pa.string()),
        "reason": pa.array([answer.reason for answer in answers], pa.string()),
    }


def _by_number(attachments: pa.Array[Any]) -> tuple[Column, Column]:
    """The attachment of each row that has one, and the list of each that has another number of them."""
    is_single = np.equal(pc.list_value_length(attachments).fill_null(0).to_numpy(), 1)
    mask = pa.array(is_single)
    single = pc.replace_with_mask(
        pa.nulls(len(attachments), pa.string()), mask, pc.list_flatten(attachments.filter(mask))
    )
    several = attachments.take(pa.array(np.arange(len(attachments)), pa.int64(), mask=is_single))
    return single, several


def _column(kind: pa.DataType, values: Iterable[Any]) -> Column:
    """Values as Arrow takes them: a map is a list of pairs."""
    if pa.types.is_map(kind):
        values = (None if value is None else list(value.items()) for value in values)
    elif pa.types.is_list(kind) and pa.types.is_map(kind.value_type):
        values = (None if value is None else [list(item.items()) for item in value] for value in values)
    return pa.array(list(values), kind)
