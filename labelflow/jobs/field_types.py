"""What a config says in words: durations, rates, shares, names and places. Each check says what would be right."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from labelflow.problems import abbreviate, validation_error
from labelflow.scale.task_types.base import check_url

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
RESERVED_METADATA = ("job", "row_id", "manifest", "fingerprint", "generation")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def _duration(value: Any) -> Any:
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", value.strip())):
        return timedelta(seconds=min(float(match[1]) * _UNITS[match[2]], 1e9))
    if isinstance(value, timedelta) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise validation_error(f"was {abbreviate(value)}", "write a number and a unit: 30s, 5m, 2h or 7d")


def _rate(value: Any) -> Any:
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*/\s*([smh])", value.strip())):
        return float(match[1]) / _UNITS[match[2]]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise validation_error(f"was {abbreviate(value)}", "write requests per second or minute: 50/s, or 600/m")


def _share(value: Any) -> Any:
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", value.strip())):
        value = float(match[1]) / 100
    is_share = isinstance(value, float) and 0 <= value <= 1
    if is_share or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise validation_error(f"was {abbreviate(value)}", "write a number of rows (20), or a share of them (5%)")


def check_job_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise validation_error(f"was {abbreviate(value)}", "use up to 80 letters, digits, dots, dashes and underscores")
    return value


def _location(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise validation_error(f"was {abbreviate(value)}", "write a path, or a URI like s3://bucket/prefix")
    return value


def check_address(value: str) -> str:
    check_url(value)
    try:
        urlsplit(value).port  # noqa: B018  raises for what is no port
    except ValueError:
        raise validation_error(f"was {abbreviate(value)}", "use a port up to 65535") from None
    return value


def check_not_reserved(columns: list[str]) -> list[str]:
    for column in columns:
        if column in RESERVED_METADATA:
            raise validation_error(
                f"names {column!r}, a key under which each task carries something of ours",
                f"leave it out, or rename the column ({', '.join(RESERVED_METADATA)} are taken)",
            )
    return columns


def _written_as(pattern: str, *examples: str | int) -> WithJsonSchema:
    """What Prefect's form and editors take: a text with a unit, or a bare number."""
    text = {"type": "string", "pattern": f"^\\s*{pattern}\\s*$"}
    return WithJsonSchema({"anyOf": [text, {"type": "number", "minimum": 0}], "examples": list(examples)})


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(lambda d: f"{d.total_seconds():g}s", when_used="json"),
    _written_as(r"\d+(\.\d+)?\s*[smhd]", "30s", "7d"),
]
MAX_DURATION = timedelta(days=365)


def within(most: timedelta, words: str, least: timedelta = timedelta(milliseconds=1)) -> AfterValidator:
    """Refuses a shorter or a longer duration."""

    def check(value: timedelta) -> timedelta:
        if not least <= value <= most:
            raise validation_error(f"was {value.total_seconds():g} seconds", words)
        return value

    return AfterValidator(check)


PRESIGN_RANGE = within(timedelta(days=7), "use a minute to 7 days: no signature lives longer", timedelta(minutes=1))
TIMEOUT_RANGE = within(timedelta(minutes=5), "use a second to 5 minutes, like 20s", timedelta(seconds=1))
Location = Annotated[str, AfterValidator(_location)]
Rate = Annotated[float, BeforeValidator(_rate), Field(gt=0), _written_as(r"\d+(\.\d+)?\s*/\s*[smh]", "50/s", "600/m")]
RowsOrShare = Annotated[int | float, BeforeValidator(_share), _written_as(r"\d+(\.\d+)?\s*%", "5%", 20)]
