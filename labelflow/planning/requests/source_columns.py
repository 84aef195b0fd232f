"""The columns of a manifest that labels carry, with one type for all rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from labelflow.jobs.templates import TemplateError
from labelflow.lenient_json import dump_json
from labelflow.problems import Problem, abbreviate
from labelflow.redaction import strip_signatures_in
from labelflow.tables.storable_types import is_lossless, to_json_value

_JSON_TYPES = frozenset({str, int, float, bool})
_PYTHON_TYPES: dict[pa.DataType, type] = {
    pa.string(): str,
    pa.int64(): int,
    pa.bool_(): bool,
    pa.float64(): float,
}


class SourceColumns:
    """Reads the carried columns of rows.

    source_type: Arrow struct of the columns.

        SourceColumns(pa.struct([("city", pa.string())])).read({"city": "Berlin", "size": 3})  # {"city": "Berlin"}
    """

    def __init__(self, source_type: pa.StructType) -> None:
        self._columns = [(field.name, field.type, _PYTHON_TYPES.get(field.type)) for field in list(source_type)]

    def read(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the carried values of one row, without the signatures of URLs.

        Raises TemplateError if a value does not fit the type of its column, or cannot be sent as JSON.
        """
        source: dict[str, Any] = {}
        for name, arrow_type, python_type in self._columns:
            value = values.get(name)
            if value is None:
                source[name] = None
                continue
            if python_type is str and not isinstance(value, str):
                value = _to_text(value)
            value = strip_signatures_in(value)
            if type(value) is not python_type or (isinstance(value, int) and not -(2**63) <= value < 2**63):
                _check_fits(name, value, arrow_type)
            source[name] = value
        return source


def _check_fits(column: str, value: Any, arrow_type: pa.DataType) -> None:
    if not _fits(value, arrow_type):
        reason = f"was {abbreviate(value)}, but the column has the type {arrow_type} in earlier rows"
        raise TemplateError(Problem(column, reason, "use one type for all values of the column"))
    if type(value) in _JSON_TYPES:
        return
    try:
        to_json_value(value)
    except TypeError as error:
        fix = "remove the column from `metadata`, or convert it"
        raise TemplateError(Problem(column, f"is {error}", fix)) from None


def _fits(value: Any, arrow_type: pa.DataType) -> bool:
    try:
        return is_lossless(value, pa.array([value], arrow_type)[0].as_py())
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return False


def _to_text(value: Any) -> str:
    plain = to_json_value(value)
    return plain if isinstance(plain, str) else dump_json(plain).decode()
