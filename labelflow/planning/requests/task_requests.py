"""Build a task request from each row, and validate it against the parameters of the task type."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pyarrow as pa
from pydantic import ValidationError

from labelflow.attachments import Attachment
from labelflow.errors import InvalidInput
from labelflow.jobs.job import Job
from labelflow.jobs.task_checks import unique_id_problems
from labelflow.jobs.templates import TemplateError, compile_template
from labelflow.manifests.format import REMARK
from labelflow.planning.requests.source_columns import SourceColumns
from labelflow.planning.requests.task_metadata import task_metadata
from labelflow.problems import Problem, abbreviate, one_line, problems
from labelflow.records import ManifestRow, PreparedRow, RejectedRow
from labelflow.redaction import strip_signatures, to_redacted_json
from labelflow.scale.task_types import CommonParams, task_type
from labelflow.tables.part_files import unwritable_column
from labelflow.tables.storable_types import to_json_value, to_storable_type

MAX_UNIQUE_ID_CHARS = 200  # a longer `unique_id` is hashed
_HASHED_ROW_ID = re.compile(r"sha256-[0-9a-f]{64}")  # in the `unique_id` of a row with a long id
_MISSING = "\0missing"  # stands for a column that the row does not have; no column holds this value
_NOT_ASKED = ("priority",)  # parameters that change nothing of what annotators are asked


class TaskRequestBuilder:
    """Builds task requests from the rows of one manifest.

    schema: the Arrow schema of the manifest.
    recorded_types: Arrow types of the carried columns, as an earlier run recorded them; None for a new job.
    source_type: Arrow struct of the carried columns, the row id first.
    Raises InvalidInput if the job names a column that the manifest does not have, or frees unique_ids.

        builder = TaskRequestBuilder(job, manifest.schema)
        requests = [builder.build(row) for row in manifest.rows]
    """

    def __init__(self, job: Job, schema: pa.Schema, recorded_types: pa.StructType | None = None) -> None:
        for problem in unique_id_problems(job.task):  # of a job that is not from a config file
            raise InvalidInput(f"job {job.name}", f"{problem.field} {problem.reason}", problem.fix)
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
        self.source_type = _source_type(schema, carried, recorded_types)
        self._source = SourceColumns(self.source_type)
        if column := unwritable_column(pa.schema(list(self.source_type))):
            reason = f"the column {column!r} has the type {schema.field(column).type}, which Parquet cannot store"
            raise InvalidInput(job.manifest.uri, reason, "remove it from `metadata`, or convert it")

    def build(self, row: ManifestRow) -> PreparedRow | RejectedRow:
        """Return the request for one row, or the first problem that prevents it."""
        row_id = self.row_id(row)
        if isinstance(row_id, Problem):
            return RejectedRow(row, None, row_id)
        try:
            return self._fill(row, row_id)
        except TemplateError as error:
            return RejectedRow(row, row_id, error.problem)
        except ValidationError as error:
            return RejectedRow(row, row_id, self._name_column(problems(error)[0], row))
        except (TypeError, RecursionError) as error:  # raised by orjson and `to_json_value`
            fix = "use texts, numbers, booleans, and lists or objects of these"
            return RejectedRow(row, row_id, Problem("task", f"cannot be sent as JSON ({error})", fix))

    def _fill(self, row: ManifestRow, row_id: str) -> PreparedRow:
        filled = {key: value for key, value in self._params.fill(row.values).items() if value is not None}
        common = self._fill_common(row.values) if self._shared_params is None else self._shared_params
        params = self._validate(to_json_value(filled), in_project=bool(common.get("project")))
        fingerprint, source = _fingerprint(self._job.task_type, params), self._source.read(row.values)
        CommonParams.model_validate({"metadata": task_metadata(self._job, row_id, fingerprint, source)})
        return PreparedRow(
            row=row,
            row_id=row_id,
            unique_id=unique_id(self._job.name, row_id),
            params=params,
            common=common,
            attachments=[
                Attachment(found.field, found.value, found.kind) for found in self._type.find_attachments(params)
            ],
            fingerprint=fingerprint,
            input_digest=self._recorded_digest(row),
            source=source,
        )

    def _validate(self, given: dict[str, Any], *, in_project: bool) -> dict[str, Any]:
        """Return the checked parameters, with the attachments as in the manifest. Raises ValidationError."""
        model = self._type.validate(given, in_project=in_project)
        return model.model_dump(exclude_unset=True, exclude_none=True)

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

    def _recorded_digest(self, row: ManifestRow) -> int:
        """The digest by which later runs recognize the row: of a repaired row, that of the row in the manifest."""
        digest = row.origin.input_digest if row.origin else None
        return self.input_digest(row) if digest is None else digest

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

    def row_id(self, row: ManifestRow) -> str | Problem:
        """Return the row id as text, or why the row has none; see `row_id_text`.

        An unreadable row has no id: what was read of it may be wrong.
        """
        if row.problem:
            return row.problem
        return row_id_text(row.values.get(self.row_id_column), self.row_id_column)


def row_id_text(value: Any, column: str) -> str | Problem:
    """Return the text of a row id, or why a value of the manifest is none. Whole numbers become decimal text.

    >>> row_id_text(17.0, "image_id")
    '17'
    """
    if isinstance(value, str) and strip_signatures(value) != value:
        reason = "contains a signed URL; the id would change with each signature, and be stored"
        return Problem(column, reason, "use another column as the row id, or the URL without its signature")
    if isinstance(value, str) and value.strip():
        return value
    if (
        isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    ):  # pandas stores an integer column with nulls as floats
        value = int(value)
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        value = int(value)
    if isinstance(value, UUID) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    if value is None or value == "":
        return Problem(column, "is null", "give the row a unique id")
    return Problem(column, f"was {abbreviate(value)}", "use a text, an integer or a UUID as the row id")


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


def _source_type(schema: pa.Schema, carried: list[str], recorded: pa.StructType | None) -> pa.StructType:
    """The types of the carried columns: as recorded, then those of columns that were added since."""
    known = list(recorded) if recorded else []
    names = {field.name for field in known}
    added = [pa.field(name, to_storable_type(schema.field(name).type)) for name in carried if name not in names]
    return pa.struct([*known, *added])


def _require_columns(job: Job, schema: pa.Schema, carried: list[str], used: Iterable[str]) -> None:
    for column in [*carried, *used]:
        if column in schema.names:
            continue
        where = "manifest.row_id" if column == job.manifest.row_id else "metadata"
        where = where if column in carried else f"task: {{{column}}}"
        if padded := next((name for name in schema.names if name.strip() == column), None):
            reason = f"{where} names the column {column!r}, but the manifest has {padded!r}, with white space around it"
            raise InvalidInput(job.manifest.uri, reason, "remove the white space from the header")
        names = ", ".join(one_line(name, 60) for name in schema.names[:20]) + (", …" if len(schema.names) > 20 else "")
        remark = (schema.metadata or {}).get(REMARK, b"").decode()
        raise InvalidInput(
            job.manifest.uri,
            f"{where} names the column {column!r}, which is not in the manifest" + (f" ({remark})" if remark else ""),
            f"use one of {names}" + ("" if column in carried else "; write {{ and }} for literal braces"),
        )


def _fingerprint(name: str, params: dict[str, Any]) -> str:
    """Return a digest of what annotators are asked: the task type and its parameters, without URL signatures."""
    asked = {key: value for key, value in params.items() if key not in _NOT_ASKED}
    stable = to_redacted_json([name, asked], sort_keys=True)
    return hashlib.sha256(stable.encode()).hexdigest()[:32]
