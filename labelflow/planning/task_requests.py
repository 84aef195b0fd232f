"""Build a task request from each row, and validate it against the parameters of the task type."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import orjson
import pyarrow as pa
from pydantic import ValidationError

from labelflow.attachments import Attachment
from labelflow.errors import UsageError
from labelflow.jobs.config import unique_id_problems
from labelflow.jobs.job import Job
from labelflow.jobs.templates import TemplateError, compile_template
from labelflow.lenient_json import dump_json
from labelflow.problems import Problem, abbreviate, one_line, problems
from labelflow.records import ManifestRow, PreparedRow, RejectedRow
from labelflow.redaction import strip_signatures_in, to_redacted_json
from labelflow.scale.task_types import CommonParams, task_type
from labelflow.tables.column_types import is_lossless, to_json_value, to_storable_type

MAX_UNIQUE_ID_CHARS = 200  # a longer `unique_id` is hashed
_HASHED_ROW_ID = re.compile(r"sha256-[0-9a-f]{64}")  # in the `unique_id` of a row with a long id
_MISSING = "\0missing"  # stands for a column that the row does not have; no column holds this value
_ANY_URL = "https://placeholder.invalid/"  # valid stand-in for the https URL that an s3:// attachment is signed into


class TaskRequestBuilder:
    """Builds task requests from the rows of one manifest.

    schema: the Arrow schema of the manifest.
    recorded_types: Arrow types of the carried columns, as an earlier run recorded them; None for a new job.
    source_type: Arrow struct of the carried columns, the row id first.
    Raises UsageError if the job names a column that the manifest does not have, or frees unique_ids.

        builder = TaskRequestBuilder(job, manifest.schema)
        requests = [builder.build(row) for row in manifest.rows]
    """

    def __init__(self, job: Job, schema: pa.Schema, recorded_types: pa.StructType | None = None) -> None:
        for problem in unique_id_problems(job.task):  # of a job that is not from a config file
            raise UsageError(f"job {job.name}", f"{problem.field} {problem.reason}", problem.fix)
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
        """Return the request for one row, or the first problem that prevents it."""
        row_id, id_problem = self.row_id(row)
        if row.problem or id_problem:
            return RejectedRow(row, row_id, row.problem or id_problem)  # type: ignore[arg-type]
        try:
            return self._fill(row, row_id or "")
        except TemplateError as error:
            return RejectedRow(row, row_id, error.problem)
        except ValidationError as error:
            return RejectedRow(row, row_id, self._name_column(problems(error)[0], row))
        except (TypeError, RecursionError) as error:  # raised by orjson and `to_json_value`
            fix = "use texts, numbers, booleans, and lists or objects of these"
            return RejectedRow(row, row_id, Problem("task", f"cannot be sent as JSON ({error})", fix))

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
        """Return the common parameters if all rows share them; None if they depend on the row or are invalid."""
        try:
            return None if self._common.columns else self._fill_common({})
        except ValidationError:
            return None

    def _fill_common(self, values: Mapping[str, Any]) -> dict[str, Any]:
        url = self._job.collect.callback_url
        common = {**({"callback_url": url} if url else {}), **to_json_value(self._common.fill(values))}
        CommonParams.model_validate(common)
        return common

    def input_digest(self, row: ManifestRow) -> int:
        """Return a signed 64-bit digest of the values that the row's request is built from.

        It costs much less than `build`: a row that has a task is rebuilt only if its digest has changed.
        """
        values = [row.values.get(column, _MISSING) for column in self._used]
        try:
            content = orjson.dumps(values, default=repr, option=orjson.OPT_NON_STR_KEYS)
        except TypeError:  # a number or a text that orjson cannot encode
            content = repr(values).encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(content, digest_size=8, key=self._key).digest()
        return int.from_bytes(digest, "little", signed=True)

    def _attachments(self, params: dict[str, Any]) -> Iterator[Attachment]:
        type_field = self._type.params.model_fields.get("attachment_type")
        kind = str(params.get("attachment_type") or (type_field and type_field.default) or "unknown")
        if isinstance(params.get("attachment"), str):
            yield Attachment("attachment", params["attachment"], kind)
        values = params.get("attachments")
        for index, value in enumerate(values if isinstance(values, list) else []):
            if isinstance(value, str):
                yield Attachment(f"attachments[{index}]", value, kind)

    def _name_column(self, problem: Problem, row: ManifestRow) -> Problem:
        """Name the null column instead of the required parameter that it fills, because users correct columns."""
        column = str(self._job.task.get(problem.field, ""))[1:-1]
        if problem.reason.startswith("is required") and column in row.values:
            return Problem(column, "is null", "give it a value, or remove the row")
        return problem if problem.field else replace(problem, field="task")

    @property
    def row_id_column(self) -> str:
        """The manifest column that holds the row id."""
        return self._job.manifest.row_id

    def row_id(self, row: ManifestRow) -> tuple[str | None, Problem | None]:
        """Return the row id as text and None, or None and the problem. Integers become decimal text."""
        column = self.row_id_column
        value = row.values.get(column)
        if isinstance(value, str) and value.strip():
            return value, None
        if (
            isinstance(value, float) and value.is_integer() and abs(value) < 2**53
        ):  # pandas stores an integer column with nulls as floats
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value), None
        if value is None or value == "":
            return None, Problem(column, "is null", "give the row a unique id")
        return None, Problem(column, f"was {abbreviate(value)}", "use a text or an integer as the row id")

    def _source(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the carried columns. Raises TemplateError if a value does not fit the type of its column."""
        source = {}
        for field in self.source_type:
            value = values.get(field.name)
            if value is not None and pa.types.is_string(field.type) and not isinstance(value, str):
                value = dump_json(to_json_value(value)).decode()
            if value is not None and not _fits(value, field.type):
                reason = f"was {abbreviate(value)}, but the column has the type {field.type} in earlier rows"
                raise TemplateError(Problem(field.name, reason, "use one type for all values of the column"))
            source[field.name] = strip_signatures_in(value)
        return source


def unique_id(job: str, row_id: str, generation: int = 0, copy: int = 0) -> str:
    """The id under which a row's task can exist once: from the job's name and the row's id.

    generation: of the row, see `PreparedRow`. copy: reserved for several tasks per row; 0 is the first.
    Both are part of the name before the first slash, whose characters `#` and `+` no job name contains. So no row id
    produces them. A long id is hashed; a row id that looks like the hash is hashed, too.

    >>> unique_id("street-boxes", "000017")
    'street-boxes/000017'
    >>> unique_id("street-boxes", "000017", generation=2, copy=1)
    'street-boxes+1#2/000017'
    """
    prefix = job + (f"+{copy}" if copy else "") + (f"#{generation}" if generation else "")
    name = f"{prefix}/{row_id}"
    if len(name) <= MAX_UNIQUE_ID_CHARS and not _HASHED_ROW_ID.fullmatch(row_id):
        return name
    return f"{prefix}/sha256-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _require_columns(job: Job, schema: pa.Schema, carried: list[str], used: Iterable[str]) -> None:
    for column in [*carried, *used]:
        if column in schema.names:
            continue
        where = "manifest.row_id" if column == job.manifest.row_id else "metadata"
        where = where if column in carried else f"task: {{{column}}}"
        names = ", ".join(one_line(name, 60) for name in schema.names[:20]) + (", …" if len(schema.names) > 20 else "")
        raise UsageError(
            job.manifest.uri,
            f"{where} names the column {column!r}, which is not in the manifest",
            f"use one of {names}" + ("" if column in carried else "; write {{ and }} for literal braces"),
        )


def _as_sent(params: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters as sent, with a placeholder for each https URL that an s3:// attachment is signed into."""
    if params.get("attachment_type") == "text":
        return params
    sent = dict(params)
    if isinstance(sent.get("attachment"), str):
        sent["attachment"] = _signed(sent["attachment"])
    if isinstance(sent.get("attachments"), list):
        sent["attachments"] = [_signed(value) for value in sent["attachments"]]
    return sent


def _as_given(value: Any) -> Any:
    """Return an attachment as the manifest has it. A number becomes text, as in the model of the task type."""
    if isinstance(value, list):
        return [_as_given(item) for item in value]
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _signed(value: Any) -> Any:
    return _ANY_URL if isinstance(value, str) and value.startswith("s3://") else value


def _fingerprint(name: str, params: dict[str, Any]) -> str:
    """Return a digest of what annotators are asked: the task type and its parameters, without URL signatures."""
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
