"""Convert answers to tables of labels/ and errors/, column by column, thousands of answers at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter, ValidationError

from labelflow.jobs.job import Job
from labelflow.outputs.answer import Answer
from labelflow.outputs.folders import ERRORS, LABELS
from labelflow.redaction import strip_signatures
from labelflow.scale.task_types import decode_response, replace_values, task_type
from labelflow.tables.conforming import Column, to_column
from labelflow.tables.schemas import error_schema, label_schema


class AnswerTables:
    """Builds the tables of a job's answers.

    source_type: the type of the `source` column.
    unparsed: number of responses so far that did not match the documented schema; their label columns are null.
    """

    def __init__(self, job: Job, source_type: pa.DataType) -> None:
        label_type = task_type(job.task_type)
        self._type, self._context = label_type, label_type.context(job.task)
        self._label_fields = label_type.columns(job.task)
        self._has_main_attachment = "attachment" in job.task  # which the ledger has before any others
        self._responses: TypeAdapter[Any] = TypeAdapter(list[label_type.response])  # type: ignore[name-defined]
        self._schemas = {LABELS: label_schema(job.task, source_type), ERRORS: error_schema(source_type)}
        self.unparsed = 0

    def table(self, prefix: str, answers: Sequence[Answer], submissions: pa.Table) -> pa.Table:
        """Build a table of labels/ or errors/, with one row per answer.

        prefix: LABELS or ERRORS. submissions: the submissions that the answers belong to, in the same order.
        """
        schema = self._schemas[prefix]
        outcome_columns = self._label_columns(answers) if prefix == LABELS else _error_columns(answers)
        identity = _identity_columns(answers, submissions, self._has_main_attachment)
        columns = {**identity, "media": submissions["media"], **outcome_columns}
        return pa.table([columns[name] for name in schema.names], schema=schema)

    def empty(self, prefix: str) -> pa.Table:
        """Return a table of labels/ or errors/ without rows."""
        return self._schemas[prefix].empty_table()

    def _label_columns(self, answers: Sequence[Answer]) -> dict[str, Column]:
        """The label columns of the task type; null for a response that does not match the documented schema."""
        responses = [self._localized(answer.response) for answer in answers]
        invalid: set[Any] = set()  # indexes
        try:
            parsed = self._responses.validate_python(responses, context=self._context)
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False, include_input=False)
            invalid = {detail["loc"][0] for detail in details}
            valid = [response for index, response in enumerate(responses) if index not in invalid]
            parsed = self._responses.validate_python(valid, context=self._context)
        self.unparsed += len(invalid)
        names = {field.name for field in self._label_fields}
        labels: list[Any] = self._responses.dump_python(parsed, include={"__all__": names})
        for index in sorted(invalid):
            labels.insert(index, {})
        return {
            field.name: to_column((label.get(field.name) for label in labels), field.type)
            for field in self._label_fields
        }

    def _localized(self, response: Any) -> Any:
        """Return a response whose columns may be stored: the URLs of its result files have no signatures."""
        if not self._type.result_files:
            return response
        decoded = decode_response(response)
        files = self._type.find_result_files(decoded)
        return replace_values(decoded, {file.path: strip_signatures(file.url) for file in files}) if files else decoded


def _identity_columns(answers: Sequence[Answer], submissions: pa.Table, has_main_attachment: bool) -> dict[str, Column]:
    """The columns that all task types have."""
    single, several = _split_attachments(submissions["attachments"].combine_chunks(), has_main_attachment)
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


def _error_columns(answers: Sequence[Answer]) -> dict[str, Column]:
    return {
        "status": pa.array([answer.outcome.value for answer in answers], pa.string()),
        "reason": pa.array([answer.reason for answer in answers], pa.string()),
    }


def _split_attachments(attachments: pa.Array[Any], has_main: bool) -> tuple[Column, Column]:
    """Two columns: the attachment of rows that have one, and the list of the attachments of rows that have several.

    has_main: whether the first one is the row's attachment, and others are beside it.
    """
    counts = pc.list_value_length(attachments).fill_null(0).to_numpy()
    is_single = np.equal(counts, 1)
    has_single = np.greater_equal(counts, 1) if has_main else is_single
    mask = pa.array(has_single)
    single = pc.replace_with_mask(
        pa.nulls(len(attachments), pa.string()), mask, pc.list_element(attachments.filter(mask), 0)
    )
    several = attachments.take(pa.array(np.arange(len(attachments)), pa.int64(), mask=is_single))
    return single, several
