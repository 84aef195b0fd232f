"""A labeling job: what a config file says. One model serves the file, its error messages and Prefect's form."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from labelflow.attachments import CheckLevel
from labelflow.jobs.field_types import (
    MAX_DURATION,
    PRESIGN_RANGE,
    TIMEOUT_RANGE,
    Duration,
    Location,
    Rate,
    RowsOrShare,
    check_address,
    check_job_name,
    check_not_reserved,
    within,
)
from labelflow.jobs.secrets import check_block, check_reference
from labelflow.problems import validation_error
from labelflow.scale.models import LIVE_URL, Mode

MAX_TASKS, MAX_COST = 1_000_000_000, 1e9  # beyond that it is a slip of the hand


class Section(BaseModel):
    """A part of a config: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class ManifestSection(Section):
    """The data set: one row of it becomes one task."""

    uri: Location = Field(
        description="Path or s3:// URI of a .jsonl, .csv or .parquet file.",
        examples=["s3://my-bucket/street/manifest.jsonl"],
    )
    row_id: str = Field(description="Column that names a row: unique, never null.", min_length=1, examples=["image_id"])


class AttachmentsSection(Section):
    """How attachments are looked at before money is spent, and handed to Scale."""

    check: CheckLevel = Field(
        default=CheckLevel.AUTO,
        description="auto, content (read the first bytes of each), exists (it is there), or off.",
    )
    presign: Annotated[Duration, PRESIGN_RANGE] = Field(
        default=timedelta(days=7), description="How long the signed URL of an s3:// attachment lives."
    )


Money = Annotated[float, Field(ge=0, le=MAX_COST, allow_inf_nan=False)]


class SubmitSection(Section):
    """How fast, and how much at most."""

    concurrency: int = Field(default=16, ge=1, le=256, description="Requests under way at once.")
    rate: Rate | None = Field(default=None, description="Tasks created a second at most, like 50/s.")
    max_tasks: int | None = Field(
        default=None, ge=0, le=MAX_TASKS, description="Tasks that the job may have, ever.", examples=[5000]
    )
    price_per_task: Money | None = Field(default=None, description="From your rate card.", examples=[0.08])
    max_cost: Money | None = Field(default=None, description="What the job may cost, ever.", examples=[400])

    @model_validator(mode="after")
    def _cost_needs_price(self) -> SubmitSection:
        if self.max_cost is not None and not self.price_per_task:
            raise validation_error("`max_cost` is set and `price_per_task` is not", "add the price from your rate card")
        return self

    def cap(self) -> int | None:
        """The number of tasks that the job may have, None where nothing limits it."""
        caps = [self.max_tasks] if self.max_tasks is not None else []
        if self.max_cost is not None and self.price_per_task:
            caps.append(int(min(self.max_cost / self.price_per_task + 1e-9, 1e15)))
        return min(caps, default=None)


class CollectSection(Section):
    """How to wait for people."""

    wait: Literal["poll", "callback"] = Field(
        default="poll", description="poll: ask the API for completed tasks; callback: have them sent here."
    )
    callback_url: Annotated[str, AfterValidator(check_address)] | None = Field(
        default=None,
        description="Public address under which Scale reaches the receiver of callbacks.",
        examples=["https://labels.example.com/callback"],
    )
    auth_key: Annotated[str, AfterValidator(check_reference)] = Field(
        default="env:SCALE_CALLBACK_AUTH_KEY",
        description="Where the callback auth key is found: env:NAME, or block:NAME of a Prefect Secret block.",
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="Address that the receiver listens on.")
    port: int = Field(default=8900, ge=1, le=65535, description="Port that the receiver listens on.")
    poll_interval: Annotated[Duration, within(MAX_DURATION, "use a pause like 30s")] = Field(
        default=timedelta(seconds=30), description="The longest pause between two looks."
    )
    outage_tolerance: Annotated[Duration, within(MAX_DURATION, "use a time like 15m")] = Field(
        default=timedelta(minutes=15), description="How long the API may be gone while people are waited for."
    )
    timeout: Annotated[Duration, within(MAX_DURATION, "use a time like 8d")] = Field(
        default=timedelta(days=8), description="How long label_dataset waits before it leaves."
    )

    @model_validator(mode="after")
    def _callbacks_need_an_address(self) -> CollectSection:
        if self.wait == "callback" and self.callback_url is None:
            raise validation_error(
                "`wait` is callback and `callback_url` is not set", "add the address that Scale is to call"
            )
        return self


class ScaleSection(Section):
    """Where the API is, and with which key. SCALE_API_URL and SCALE_API_KEY override it."""

    url: Annotated[str, AfterValidator(check_address)] = Field(
        default=LIVE_URL, description="Where the API is: Scale's, or a sandbox; it ends in /v1."
    )
    key: Annotated[str, AfterValidator(check_reference)] = Field(
        default="env:SCALE_API_KEY",
        description="Where the key is found, never the key: env:NAME, or block:NAME of a Prefect Secret block.",
        examples=["env:SCALE_API_KEY", "block:scale-api-key"],
    )
    mode: Mode = Field(default=Mode.TEST, description="test or live; must be what the key is for.")
    timeout: Annotated[Duration, TIMEOUT_RANGE] = Field(
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
        description="threads: of this process; dask: many processes, which need a Prefect server that all reach.",
    )
    scheduler: str | None = Field(
        default=None,
        description="Address of a Dask scheduler, like tcp://10.0.0.1:8786; none starts a cluster here.",
        pattern=r"^[a-z]+://.+$",
    )
    workers: int = Field(default=2, ge=1, le=256, description="Worker processes of a cluster that is started here.")

    @property
    def is_distributed(self) -> bool:
        """Whether other processes create the tasks."""
        return self.type != "threads"


def _runner(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


class Job(Section):
    """A labeling job."""

    name: Annotated[str, AfterValidator(check_job_name)] = Field(
        description="Names the job for ever: a row's task is known by it.", examples=["street-boxes"]
    )
    manifest: ManifestSection
    task: dict[str, Any] = Field(
        description="`type`, and the type's parameters; {column} takes the row's value.",
        examples=[{"type": "annotation", "attachment": "{image_uri}", "objects_to_annotate": ["car", "truck"]}],
    )
    metadata: Annotated[list[str], AfterValidator(check_not_reserved)] = Field(
        default=[],
        description="Columns that each task and each label carries along.",
        examples=[["camera", "captured_at"]],
    )
    attachments: AttachmentsSection = AttachmentsSection()
    submit: SubmitSection = SubmitSection()
    collect: CollectSection = CollectSection()
    runner: Annotated[RunnerSection, BeforeValidator(_runner)] = Field(
        default=RunnerSection(), description="threads, or dask for many processes."
    )
    output: Location = Field(
        description="Folder or s3:// prefix for everything that the job writes.",
        examples=["s3://my-bucket/labels/street-boxes"],
    )
    scale: ScaleSection = ScaleSection()
    s3: S3Section = S3Section()
    max_unlabeled: RowsOrShare = Field(
        default=0.05, description="Rows that may stay without a label: a number (20) or a share (5%)."
    )

    @model_validator(mode="after")
    def _one_callback_url(self) -> Job:
        if self.collect.callback_url is not None and "callback_url" in self.task:
            raise validation_error("`callback_url` is under `task`, and under `collect`", "leave it under `collect`")
        return self

    @property
    def task_type(self) -> str:
        """The name of Scale's task type."""
        return str(self.task["type"])

    def allowed_unlabeled(self, rows: int) -> int:
        """Rows that may stay without a label, of so many."""
        share = self.max_unlabeled
        return int(share * rows + 1e-9) if isinstance(share, float) else share
