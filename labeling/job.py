"""A labeling job: what a config file says. One model serves the file, its error messages and Prefect's form."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from labeling.attachments import CheckLevel
from labeling.secrets import check_block, check_reference
from scale.contract import LIVE_URL, Mode
from scale.problems import shown, wrong
from scale.task_types.base import check_url

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
RESERVED_METADATA = ("job", "row_id", "manifest", "fingerprint", "generation")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def _duration(value: Any) -> Any:
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", value.strip())):
        return timedelta(seconds=min(float(match[1]) * _UNITS[match[2]], 1e9))
    if isinstance(value, timedelta) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise wrong(f"was {shown(value)}", "write a number and a unit: 30s, 5m, 2h or 7d")


def _rate(value: Any) -> Any:
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*/\s*([smh])", value.strip())):
        return float(match[1]) / _UNITS[match[2]]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise wrong(f"was {shown(value)}", "write requests per second or minute: 50/s, or 600/m")


def _share(value: Any) -> Any:
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", value.strip())):
        value = float(match[1]) / 100
    is_share = isinstance(value, float) and 0 <= value <= 1
    if is_share or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise wrong(f"was {shown(value)}", "write a number of rows (20), or a share of them (5%)")


def _job_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise wrong(f"was {shown(value)}", "use up to 80 letters, digits, dots, dashes and underscores")
    return value


def _location(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise wrong(f"was {shown(value)}", "write a path, or a URI like s3://bucket/prefix")
    return value


def _url(value: str) -> str:
    check_url(value)
    try:
        urlsplit(value).port  # noqa: B018  raises for what is no port
    except ValueError:
        raise wrong(f"was {shown(value)}", "use a port up to 65535") from None
    return value


def _not_reserved(columns: list[str]) -> list[str]:
    for column in columns:
        if column in RESERVED_METADATA:
            raise wrong(
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
LONGEST = timedelta(days=365)


def within(most: timedelta, words: str, least: timedelta = timedelta(milliseconds=1)) -> AfterValidator:
    """Refuses a shorter or a longer duration."""

    def check(value: timedelta) -> timedelta:
        if not least <= value <= most:
            raise wrong(f"was {value.total_seconds():g} seconds", words)
        return value

    return AfterValidator(check)


SIGNED = within(timedelta(days=7), "use a minute to 7 days: no signature lives longer", timedelta(minutes=1))
ANSWERED = within(timedelta(minutes=5), "use a second to 5 minutes, like 20s", timedelta(seconds=1))
Location = Annotated[str, AfterValidator(_location)]
Rate = Annotated[float, BeforeValidator(_rate), Field(gt=0), _written_as(r"\d+(\.\d+)?\s*/\s*[smh]", "50/s", "600/m")]
Share = Annotated[int | float, BeforeValidator(_share), _written_as(r"\d+(\.\d+)?\s*%", "5%", 20)]


class Section(BaseModel):
    """A part of a config: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class ManifestSection(Section):
    """The data set: one row of it becomes one task."""

    uri: Location = Field(description="Path or s3:// URI of a .jsonl, .csv or .parquet file.")
    row_id: str = Field(description="Column that names a row: unique, never null.", min_length=1)


class AttachmentsSection(Section):
    """How attachments are looked at before money is spent, and handed to Scale."""

    check: CheckLevel = Field(
        default=CheckLevel.AUTO,
        description="auto, content (read the first bytes of each), exists (it is there), or off.",
    )
    presign: Annotated[Duration, SIGNED] = Field(
        default=timedelta(days=7), description="How long the signed URL of an s3:// attachment lives."
    )


class SubmitSection(Section):
    """How fast, and how much at most."""

    concurrency: int = Field(default=16, ge=1, le=256, description="Requests under way at once.")
    rate: Rate | None = Field(default=None, description="Tasks created a second at most, like 50/s.")
    max_tasks: int | None = Field(default=None, ge=0, description="Tasks that the job may have, ever.")
    price_per_task: float | None = Field(default=None, ge=0, allow_inf_nan=False, description="From your rate card.")
    max_cost: float | None = Field(default=None, ge=0, allow_inf_nan=False, description="What the job may cost, ever.")

    @model_validator(mode="after")
    def _cost_needs_price(self) -> SubmitSection:
        if self.max_cost is not None and not self.price_per_task:
            raise wrong("`max_cost` is set and `price_per_task` is not", "add the price from your rate card")
        return self

    def cap(self) -> int | None:
        """The number of tasks that the job may have, None where nothing limits it."""
        caps = [self.max_tasks] if self.max_tasks is not None else []
        if self.max_cost is not None and self.price_per_task:
            caps.append(int(min(self.max_cost / self.price_per_task + 1e-9, 1e15)))
        return min(caps, default=None)


class CompletionSection(Section):
    """How to wait for people."""

    wait: Literal["poll", "callback"] = Field(
        default="poll", description="poll: ask the API for completed tasks; callback: have them sent here."
    )
    callback_url: Annotated[str, AfterValidator(_url)] | None = Field(
        default=None, description="Public address under which Scale reaches the receiver of callbacks."
    )
    auth_key: Annotated[str, AfterValidator(check_reference)] = Field(
        default="env:SCALE_CALLBACK_AUTH_KEY",
        description="Where the callback auth key is found: env:NAME, or block:NAME of a Prefect Secret block.",
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="Address that the receiver listens on.")
    port: int = Field(default=8900, ge=1, le=65535, description="Port that the receiver listens on.")
    every: Annotated[Duration, within(LONGEST, "use a pause like 30s")] = Field(
        default=timedelta(seconds=30), description="The longest pause between two looks."
    )
    outage: Annotated[Duration, within(LONGEST, "use a time like 15m")] = Field(
        default=timedelta(minutes=15), description="How long the API may be gone while people are waited for."
    )
    give_up_after: Annotated[Duration, within(LONGEST, "use a time like 8d")] = Field(
        default=timedelta(days=8), description="How long label_dataset waits before it leaves."
    )

    @model_validator(mode="after")
    def _callbacks_need_an_address(self) -> CompletionSection:
        if self.wait == "callback" and self.callback_url is None:
            raise wrong("`wait` is callback and `callback_url` is not set", "add the address that Scale is to call")
        return self


class ScaleSection(Section):
    """Where the API is, and with which key. SCALE_API_URL and SCALE_API_KEY override it."""

    url: Annotated[str, AfterValidator(_url)] = LIVE_URL
    key: Annotated[str, AfterValidator(check_reference)] = Field(
        default="env:SCALE_API_KEY",
        description="Where the key is found, never the key: env:NAME, or block:NAME of a Prefect Secret block.",
        examples=["env:SCALE_API_KEY", "block:scale-api-key"],
    )
    mode: Mode = Field(default=Mode.TEST, description="test or live; must be what the key is for.")
    timeout: Annotated[Duration, ANSWERED] = Field(
        default=timedelta(seconds=20), description="How long an answer may take before the request is given up."
    )


class S3Section(Section):
    """How S3 is reached, where that is not by the environment."""

    credentials: Annotated[str, AfterValidator(check_block)] | None = Field(
        default=None, description="block:NAME of a Prefect AwsCredentials block; none: boto3's own chain."
    )


class RunnerSection(Section):
    """What creates the tasks: the threads of one process, or the workers of a Dask cluster."""

    type: Literal["threads", "dask"] = Field(
        default="threads",
        description="threads: of this process; dask: of many processes. The others need a Prefect API.",
    )
    scheduler: str | None = Field(
        default=None,
        description="Address of a Dask scheduler, like tcp://10.0.0.1:8786; none starts a cluster here.",
        pattern=r"^[a-z]+://.+$",
    )
    workers: int = Field(default=2, ge=1, le=256, description="Worker processes of a cluster that is started here.")

    @property
    def is_elsewhere(self) -> bool:
        """Whether other processes create the tasks."""
        return self.type != "threads"


def _runner(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


class Job(Section):
    """A labeling job."""

    name: Annotated[str, AfterValidator(_job_name)] = Field(
        description="Names the job for ever: a row's task is known by it."
    )
    manifest: ManifestSection
    task: dict[str, Any] = Field(description="`type`, and the type's parameters; {column} takes the row's value.")
    metadata: Annotated[list[str], AfterValidator(_not_reserved)] = Field(
        default=[], description="Columns that each task and each label carries along."
    )
    attachments: AttachmentsSection = AttachmentsSection()
    submit: SubmitSection = SubmitSection()
    completion: CompletionSection = CompletionSection()
    runner: Annotated[RunnerSection, BeforeValidator(_runner)] = Field(
        default=RunnerSection(), description="threads, or dask for many processes."
    )
    output: Location = Field(description="Folder or s3:// prefix for everything that the job writes.")
    scale: ScaleSection = ScaleSection()
    s3: S3Section = S3Section()
    max_rejected: Share = Field(
        default=0.05, description="Rows that may stay without a label: a number (20) or a share (5%)."
    )

    @model_validator(mode="after")
    def _one_callback_url(self) -> Job:
        if self.completion.callback_url is not None and "callback_url" in self.task:
            raise wrong("`callback_url` is under `task`, and under `completion`", "leave it under `completion`")
        return self

    @property
    def task_type(self) -> str:
        """The name of Scale's task type."""
        return str(self.task["type"])

    def allowed_unlabeled(self, rows: int) -> int:
        """Rows that may stay without a label, of so many."""
        share = self.max_rejected
        return int(share * rows + 1e-9) if isinstance(share, float) else share
