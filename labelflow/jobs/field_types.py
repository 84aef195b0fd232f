"""Field types of a config: durations, rates, shares, names and locations. Each error says how to fix the value."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from labelflow.problems import abbreviate, validation_error
from labelflow.scale.task_types.shared.checks import check_url

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
RESERVED_METADATA = ("job", "row_id", "manifest", "fingerprint", "generation")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def _duration(value: Any) -> Any:
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", value.strip())):
        return timedelta(seconds=min(float(match[1]) * _UNITS[match[2]], 1e9))
    if isinstance(value, timedelta) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise validation_error(f"got {abbreviate(value)}", "write a number and a unit: 30s, 5m, 2h or 7d")


def _rate(value: Any) -> Any:
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*/\s*([smh])", value.strip())):
        return float(match[1]) / _UNITS[match[2]]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise validation_error(f"got {abbreviate(value)}", "write requests per second or minute: 50/s, or 600/m")


def _share(value: Any) -> Any:
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", value.strip())):
        value = float(match[1]) / 100
    is_share = isinstance(value, float) and 0 <= value <= 1
    if is_share or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise validation_error(f"got {abbreviate(value)}", "write a number of rows (20), or a share of the rows (5%)")


def check_job_name(value: str) -> str:
    """Validate a job name: up to 80 letters, digits, dots, dashes and underscores; it starts with a letter or digit."""
    if not _NAME.fullmatch(value):
        raise validation_error(f"got {abbreviate(value)}", "use up to 80 letters, digits, dots, dashes and underscores")
    return value


def _location(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise validation_error(f"got {abbreviate(value)}", "write a path, or a URI like s3://bucket/prefix")
    return value


def check_address(value: str) -> str:
    """Validate a URL, its port included. It may not contain a user name or a password: no message shows one."""
    if "@" in value:
        raise validation_error("contains an @, which separates a user name or password from the host", "remove them")
    check_url(value)
    try:
        urlsplit(value).port  # noqa: B018  raises if the port is invalid
    except ValueError:
        raise validation_error(f"got {abbreviate(value)}", "use a port up to 65535") from None
    return value


def check_not_reserved(columns: list[str]) -> list[str]:
    """Reject metadata columns with the name of a key that labelflow sets itself."""
    for column in columns:
        if column in RESERVED_METADATA:
            raise validation_error(
                f"contains {column!r}, a key that labelflow sets itself",
                f"remove it, or rename the column; reserved are {', '.join(RESERVED_METADATA)}",
            )
    return columns


def _written_as(pattern: str, *examples: str | int) -> WithJsonSchema:
    """Return the JSON schema for Prefect's form and editors: a string with a unit, or a number."""
    string = {"type": "string", "pattern": f"^\\s*{pattern}\\s*$"}
    return WithJsonSchema({"anyOf": [string, {"type": "number", "minimum": 0}], "examples": list(examples)})


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(lambda d: f"{d.total_seconds():g}s", when_used="json"),
    _written_as(r"\d+(\.\d+)?\s*[smhd]", "30s", "7d"),
]


def as_written(text: str) -> Any:
    """Return a default as it is written in a config. It is validated like a value; the schema shows it like this."""
    return text


MAX_DURATION = timedelta(days=365)


def within(maximum: timedelta, fix: str, minimum: timedelta = timedelta(milliseconds=1)) -> AfterValidator:
    """Reject a duration out of range, with the message `fix`."""

    def check(value: timedelta) -> timedelta:
        if not minimum <= value <= maximum:
            raise validation_error(f"got {value.total_seconds():g} seconds", fix)
        return value

    return AfterValidator(check)


PRESIGN_RANGE = within(
    timedelta(days=7), "use 1 minute to 7 days, the longest time that S3 allows", timedelta(minutes=1)
)
TIMEOUT_RANGE = within(timedelta(minutes=5), "use 1 second to 5 minutes, like 20s", timedelta(seconds=1))
Location = Annotated[str, AfterValidator(_location)]
Rate = Annotated[float, BeforeValidator(_rate), Field(gt=0), _written_as(r"\d+(\.\d+)?\s*/\s*[smh]", "50/s", "600/m")]
RowsOrShare = Annotated[int | float, BeforeValidator(_share), _written_as(r"\d+(\.\d+)?\s*%", "5%", 20)]
