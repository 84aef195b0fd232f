"""The model of a labeling job, used for config files, their error messages, and Prefect's form."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from labelflow.attachments import CheckLevel
from labelflow.jobs.credentials.secrets import check_block, check_reference
from labelflow.jobs.field_types import (
    MAX_DURATION,
    PRESIGN_RANGE,
    TIMEOUT_RANGE,
    Duration,
    Location,
    Rate,
    RowsOrShare,
    as_written,
    check_address,
    check_job_name,
    check_not_reserved,
    within,
)
from labelflow.problems import validation_error
from labelflow.scale.models import LIVE_URL, Mode

MAX_TASKS, MAX_COST = 1_000_000_000, 1e9  # larger values are typing errors


class Section(BaseModel):
    """A section of a config. Unknown keys are rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class ManifestSection(Section):
    """The data set: each row becomes one task."""

    uri: Location = Field(
        description="Path or s3:// URI of a JSON, CSV or Parquet file, which may be compressed with gzip or Zstandard.",
        examples=["s3://my-bucket/street/manifest.jsonl"],
    )
    row_id: str = Field(
        description="Column with the id of each row: unique and not null.", min_length=1, examples=["image_id"]
    )
    rejects_of: Location | None = Field(
        default=None,
        description="If `uri` is a rejects file: the manifest of its rows. Their signed URLs are read from there.",
    )


class Delivery(StrEnum):
    """How an attachment reaches Scale."""

    PRESIGN = "presign"  # as a presigned URL of S3
    S3 = "s3"  # as its s3:// URI: Scale reads it with a role in the owner's account


class AttachmentsSection(Section):
    """How attachments are checked before tasks are created, and passed to Scale."""

    check: CheckLevel = Field(
        default=CheckLevel.AUTO,
        description="auto, content (read the first bytes of each attachment), exists (check that it exists), or off.",
    )
    unmeasured: Literal["accept", "reject"] = Field(
        default="accept", description="What happens to a row with audio whose length could not be measured."
    )
    deliver: Delivery = Field(
        default=Delivery.PRESIGN,
        description="How Scale gets an s3:// attachment: presign (a presigned URL), or s3 (the URI, for Scale's role).",
    )
    presign: Annotated[Duration, PRESIGN_RANGE] = Field(
        default=as_written("7d"), description="How long the presigned URL of an s3:// attachment is valid."
    )
    allow_private: bool = Field(
        default=False,
        description="Whether the check requests URLs at private addresses; always for an API at such an address.",
    )


Money = Annotated[float, Field(ge=0, le=MAX_COST, allow_inf_nan=False)]


class SubmitSection(Section):
    """Limits of the submission: requests, tasks, cost."""

    concurrency: int = Field(default=16, ge=1, le=256, description="Maximum number of concurrent requests.")
    rate: Rate | None = Field(default=None, description="Maximum number of tasks created per time, like 50/s.")
    max_tasks: int | None = Field(
        default=None,
        ge=0,
        le=MAX_TASKS,
        description="Maximum number of tasks of the job, over all runs.",
        examples=[5000],
    )
    price_per_task: Money | None = Field(
        default=None, description="Price of a task, from your rate card.", examples=[0.08]
    )
    max_cost: Money | None = Field(
        default=None, description="Maximum cost of the job, over all runs; requires price_per_task.", examples=[400]
    )

    @model_validator(mode="after")
    def _cost_needs_price(self) -> SubmitSection:
        if self.max_cost is not None and not self.price_per_task:
            raise validation_error(
                "`max_cost` is set, but `price_per_task` is not", "add the price from your rate card"
            )
        return self

    def cap(self) -> int | None:
        """Return the maximum number of tasks of the job, from max_tasks and max_cost; None if there is no limit."""
        caps = [self.max_tasks] if self.max_tasks is not None else []
        if self.max_cost is not None and self.price_per_task:
            caps.append(int(min(self.max_cost / self.price_per_task + 1e-9, 1e15)))
        return min(caps, default=None)


class CollectSection(Section):
    """How the answers are collected."""

    wait: Literal["poll", "callback"] = Field(
        default="poll",
        description="poll: request finished tasks from the API; callback: Scale sends them to the callback receiver.",
    )
    callback_url: Annotated[str, AfterValidator(check_address)] | None = Field(
        default=None,
        description="Public URL at which Scale reaches the callback receiver.",
        examples=["https://labels.example.com/callback"],
    )
    auth_key: Annotated[str, AfterValidator(check_reference)] = Field(
        default="env:SCALE_CALLBACK_AUTH_KEY",
        description="Reference to the callback auth key: env:NAME, or block:NAME of a Prefect Secret block.",
    )
    host: str = Field(default="127.0.0.1", min_length=1, description="Address that the callback receiver listens on.")
    port: int = Field(default=8900, ge=1, le=65535, description="Port that the callback receiver listens on.")
    poll_interval: Annotated[Duration, within(MAX_DURATION, "use a duration like 30s, at most 365d")] = Field(
        default=as_written("30s"), description="Maximum interval between two polls."
    )
    outage_tolerance: Annotated[Duration, within(MAX_DURATION, "use a duration like 15m, at most 365d")] = Field(
        default=as_written("15m"),
        description="How long an API outage is tolerated while label_dataset waits for answers.",
    )
    stalled_after: Annotated[Duration, within(MAX_DURATION, "use a duration like 2d, at most 365d")] = Field(
        default=as_written("2d"), description="How long no answer arrives until the job counts as stalled."
    )
    timeout: Annotated[Duration, within(MAX_DURATION, "use a duration like 8d, at most 365d")] = Field(
        default=as_written("8d"), description="How long label_dataset waits for answers."
    )

    @model_validator(mode="after")
    def _callbacks_need_an_address(self) -> CollectSection:
        if self.wait == "callback" and self.callback_url is None:
            raise validation_error(
                "`wait` is callback, but `callback_url` is not set", "add the URL of the callback receiver"
            )
        return self


class ScaleSection(Section):
    """The API and its key. SCALE_API_URL and SCALE_API_KEY in the environment override them."""

    url: Annotated[str, AfterValidator(check_address)] = Field(
        default=LIVE_URL, description="URL of the API, Scale's or a sandbox's; it ends in /v1."
    )
    key: Annotated[str, AfterValidator(check_reference)] = Field(
        default="env:SCALE_API_KEY",
        description="Reference to the API key, never the key: env:NAME, or block:NAME of a Prefect Secret block.",
        examples=["env:SCALE_API_KEY", "block:scale-api-key"],
    )
    mode: Mode = Field(default=Mode.TEST, description="test or live; must match the key.")
    timeout: Annotated[Duration, TIMEOUT_RANGE] = Field(default=as_written("20s"), description="Timeout of a request.")


class S3Section(Section):
    """Access to S3, if it differs from the environment's."""

    credentials: Annotated[str, AfterValidator(check_block)] | None = Field(
        default=None, description="block:NAME of a Prefect AwsCredentials block; default: boto3's credential chain."
    )


RunnerType = Literal["threads", "dask"]


class RunnerSection(Section):
    """What creates the tasks: threads of one process, or the workers of a Dask cluster."""

    type: RunnerType = Field(
        default="threads",
        description="threads: threads of this process; dask: worker processes; all must reach one Prefect server.",
    )
    scheduler: str | None = Field(
        default=None,
        description="Address of a Dask scheduler, like tcp://10.0.0.1:8786; default: start a local cluster.",
        pattern=r"^[a-z]+://.+$",
    )
    workers: int = Field(default=2, ge=1, le=256, description="Number of worker processes of a local cluster.")

    @property
    def is_distributed(self) -> bool:
        """Whether worker processes create the tasks."""
        return self.type != "threads"


def _runner(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


class Job(Section):
    """A labeling job."""

    name: Annotated[str, AfterValidator(check_job_name)] = Field(
        description="Permanent identifier of the job; part of every task's `unique_id`. Do not change it.",
        examples=["street-boxes"],
    )
    manifest: ManifestSection
    task: dict[str, Any] = Field(
        description="`type`, and the parameters of the type; {column} is replaced by the row's value.",
        examples=[{"type": "annotation", "attachment": "{image_uri}", "objects_to_annotate": ["car", "truck"]}],
    )
    metadata: Annotated[list[str], AfterValidator(check_not_reserved)] = Field(
        default=[],
        description="Columns that are copied to each task and each label.",
        examples=[["camera", "captured_at"]],
    )
    attachments: AttachmentsSection = AttachmentsSection()
    submit: SubmitSection = SubmitSection()
    collect: CollectSection = CollectSection()
    runner: Annotated[RunnerSection, BeforeValidator(_runner, json_schema_input_type=RunnerType | RunnerSection)] = (
        Field(default=RunnerSection(), description="threads, or dask for worker processes.")
    )
    output: Location = Field(
        description="Folder or s3:// prefix for all files of the job.",
        examples=["s3://my-bucket/labels/street-boxes"],
    )
    scale: ScaleSection = ScaleSection()
    s3: S3Section = S3Section()
    max_unlabeled: RowsOrShare = Field(
        default=0.05,
        description="Maximum number (20) or share (5%) of rows without a label. Above it the run stops and fails.",
    )

    @model_validator(mode="after")
    def _one_callback_url(self) -> Job:
        if self.collect.callback_url is not None and "callback_url" in self.task:
            raise validation_error("`callback_url` is set in `task` and in `collect`", "remove it from `task`")
        return self

    @property
    def task_type(self) -> str:
        """The name of the Scale task type."""
        return str(self.task["type"])

    def allowed_unlabeled(self, rows: int) -> int:
        """Return how many of `rows` rows may remain without a label."""
        share = self.max_unlabeled
        return int(share * rows + 1e-9) if isinstance(share, float) else share
