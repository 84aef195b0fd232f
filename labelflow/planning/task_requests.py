"""Bind: make a task request from each row, and check it against the contract."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import orjson
import pyarrow as pa
from pydantic import ValidationError

from labelflow.attachments import Attachment
from labelflow.errors import UsageError
from labelflow.jobs.job import Job
from labelflow.jobs.templates import TemplateError, compile_template
from labelflow.lenient_json import dump_json
from labelflow.problems import Problem, abbreviate, one_line, problems
from labelflow.records import ManifestRow, PreparedRow, RejectedRow
from labelflow.redaction import strip_signatures_in, to_redacted_json
from labelflow.scale.task_types import CommonParams, task_type
from labelflow.tables.column_types import is_lossless, to_json_value, to_storable_type

MAX_UNIQUE_ID_CHARS = 200  # characters of a `unique_id`; a longer one is hashed
_MISSING = "\0missing"  # what no column holds
_ANY_URL = "https://placeholder.invalid/"  # passes for the URL that an s3:// attachment is signed into


class TaskRequestBuilder:
    """Makes task requests from the rows of one manifest.

    begun_with: the types of the carried columns where earlier runs have settled them.
    source_type: the Arrow struct of the carried columns, the row's own id first.
    Raises UsageError where the job needs a column that the manifest does not have.
    """

    def __init__(self, job: Job, schema: pa.Schema, recorded_types: pa.StructType | None = None) -> None:
        task = {key: value for key, value in job.task.items() if key != "type"}
        common = {key: task.pop(key) for key in list(task) if key in CommonParams.model_fields}
        self._job = job
        self._type = task_type(job.task_type)
        self._params, self._common = compile_template(task), compile_template(common)
        carried = list(dict.fromkeys([job.manifest.row_id, *job.metadata]))
        _require_columns(job, schema, carried, [*self._params.columns, *self._common.columns])
        self._key = hashlib.blake2b(repr([job.task, carried]).encode("utf-8", "surrogatepass"), digest_size=32).digest()
        self._used = tuple(dict.fromkeys([*carried, *self._params.columns, *self._common.columns]))
        self._shared_params = self._fill_shared_params()
        self.source_type = recorded_types or pa.struct(
            [pa.field(name, to_storable_type(schema.field(name).type)) for name in carried]
        )

    def build(self, row: ManifestRow) -> PreparedRow | RejectedRow:
        """The request for one row, or why there can be none."""
        row_id, trouble = self.row_id(row)
        if row.problem or trouble:
            return RejectedRow(row, row_id, row.problem or trouble)  # type: ignore[arg-type]
        try:
            bound = self._fill(row, row_id or "")
        except TemplateError as error:
            return RejectedRow(row, row_id, error.problem)
        except ValidationError as error:
            return RejectedRow(row, row_id, self._name_column(problems(error)[0], row))
        except (TypeError, RecursionError) as error:  # what orjson and `plain` raise
            return RejectedRow(
                row, row_id, Problem("task", f"cannot be sent as JSON ({error})", "mend the row's values")
            )
        return bound

    def _fill(self, row: ManifestRow, row_id: str) -> PreparedRow:
        filled = {key: value for key, value in self._params.fill(row.values).items() if value is not None}
        model = self._type.params.model_validate(_as_sent(to_json_value(filled)))
        params = model.model_dump(exclude_unset=True, exclude_none=True)
        given = {key: _as_given(filled[key]) for key in ("attachment", "attachments") if key in filled}
        common = self._fill_common(row.values) if self._shared_params is None else self._shared_params
        params.update(to_json_value(given))
        return PreparedRow(
            row=row,
            row_id=row_id,
            unique_id=unique_id(self._job.name, row_id),
            params=params,
            common=common,
            attachments=list(self._attachments(params)),
            fingerprint=_fingerprint(self._job.task_type, params),
            input_digest=self.input_digest(row),
            source=self._source(row.values),
        )

    def _fill_shared_params(self) -> dict[str, Any] | None:
        """What each row is created with beside its own parameters; None where rows differ in it, or are at fault."""
        try:
            return None if self._common.columns else self._fill_common({})
        except ValidationError:
            return None

    def _fill_common(self, values: Mapping[str, Any]) -> dict[str, Any]:
        called = self._job.collect.callback_url
        common = {**({"callback_url": called} if called else {}), **to_json_value(self._common.fill(values))}
        CommonParams.model_validate(common)
        return common

    def input_digest(self, row: ManifestRow) -> int:
        """Of what a row's request is made from; quick, so that a row that has a task is seldom bound again."""
        values = [row.values.get(column, _MISSING) for column in self._used]
        try:
            content = orjson.dumps(values, default=repr, option=orjson.OPT_NON_STR_KEYS)
        except TypeError:  # a number or a text that JSON has no place for
            content = repr(values).encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(content, digest_size=8, key=self._key).digest()
        return int.from_bytes(digest, "little", signed=True)

    def _attachments(self, params: dict[str, Any]) -> Iterator[Attachment]:
        default = self._type.params.model_fields.get("attachment_type")
        kind = str(params.get("attachment_type") or (default and default.default) or "unknown")
        if isinstance(params.get("attachment"), str):
            yield Attachment("attachment", params["attachment"], kind)
        many = params.get("attachments")
        for index, value in enumerate(many if isinstance(many, list) else []):
            if isinstance(value, str):
                yield Attachment(f"attachments[{index}]", value, kind)

    def _name_column(self, problem: Problem, row: ManifestRow) -> Problem:
        """A required parameter is not given where the column that fills it is null: that is what to mend."""
        column = str(self._job.task.get(problem.field, ""))[1:-1]
        if problem.reason.startswith("is required") and column in row.values:
            return Problem(column, "is null", "give it a value, or remove the row")
        return problem if problem.field else replace(problem, field="task")

    @property
    def row_id_column(self) -> str:
        """The column that holds the row's id."""
        return self._job.manifest.row_id

    def row_id(self, row: ManifestRow) -> tuple[str | None, Problem | None]:
        """The row's id as text, or what is wrong with it."""
        column = self.row_id_column
        value = row.values.get(column)
        if isinstance(value, str) and value.strip():
            return value, None
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:  # a column with nulls, by pandas
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value), None
        if value is None or value == "":
            return None, Problem(column, "is null", "give the row an id of its own")
        return None, Problem(column, f"was {abbreviate(value)}", "use a text or a whole number as the id of a row")

    def _source(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The carried columns, as the manifest's types have them."""
        source = {}
        for field in self.source_type:
            value = values.get(field.name)
            if value is not None and pa.types.is_string(field.type) and not isinstance(value, str):
                value = dump_json(to_json_value(value)).decode()
            if value is not None and not _fits(value, field.type):
                reason = f"was {abbreviate(value)}, and the column holds {field.type} in the rows before"
                raise TemplateError(Problem(field.name, reason, "make the column's values alike"))
            source[field.name] = strip_signatures_in(value)
        return source


def unique_id(job: str, row_id: str, generation: int = 0) -> str:
    """The id under which a row's task can exist once: from the job's name and the row's id, nothing else."""
    name = f"{job}/{row_id}" + (f"#{generation}" if generation else "")
    if len(name) <= MAX_UNIQUE_ID_CHARS:
        return name
    return f"{job}/sha256-{hashlib.sha256(name.encode()).hexdigest()}"


def _require_columns(job: Job, schema: pa.Schema, carried: list[str], used: Iterable[str]) -> None:
    for column in [*carried, *used]:
        if column in schema.names:
            continue
        where = "manifest.row_id" if column == job.manifest.row_id else "metadata"
        where = where if column in carried else f"task: {{{column}}}"
        names = ", ".join(one_line(name, 60) for name in schema.names[:20]) + (", …" if len(schema.names) > 20 else "")
        raise UsageError(
            job.manifest.uri,
            f"{where} names the column {column!r}, which the manifest lacks",
            f"use one of {names}" + ("" if column in carried else "; write {{ and }} for plain braces"),
        )


def _as_sent(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters as they will be once s3:// attachments are signed into https URLs."""
    if params.get("attachment_type") == "text":
        return params
    seen = dict(params)
    if isinstance(seen.get("attachment"), str):
        seen["attachment"] = _signed(seen["attachment"])
    if isinstance(seen.get("attachments"), list):
        seen["attachments"] = [_signed(value) for value in seen["attachments"]]
    return seen


def _as_given(value: Any) -> Any:
    """An attachment as the manifest gave it; a number is a text, as it is for the type's model."""
    if isinstance(value, list):
        return [_as_given(item) for item in value]
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _signed(value: Any) -> Any:
    return _ANY_URL if isinstance(value, str) and value.startswith("s3://") else value


def _fingerprint(name: str, params: dict[str, Any]) -> str:
    """Of what people are asked. A URL signed anew is the same attachment; urgency and project are no part."""
    stable = to_redacted_json([name, params], sort_keys=True)
    return hashlib.sha256(stable.encode()).hexdigest()[:32]


_EXACT: list[tuple[Callable[[pa.DataType], bool], type]] = [
    (pa.types.is_string, str),
    (pa.types.is_int64, int),
    (pa.types.is_boolean, bool),
    (pa.types.is_float64, float),
]


def _fits(value: Any, kind: pa.DataType) -> bool:
    if any(type(value) is python for is_kind, python in _EXACT if is_kind(kind)):
        return not isinstance(value, int) or -(2**63) <= value < 2**63
    try:
        return is_lossless(value, pa.array([value], kind)[0].as_py())
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return False
