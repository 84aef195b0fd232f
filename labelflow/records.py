"""The way of one row: one frozen type per stage, from the manifest to the answer.

ManifestRow → PreparedRow → (attachment checked) → Submission → Answer
          ↘ Rejected ↙
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from labelflow.attachments import Attachment
from labelflow.problems import Problem


class Outcome(StrEnum):
    """Where a row of the manifest ended. Every row is in exactly one of these."""

    LABELED = "labeled"  # people answered; a row of labels/
    REJECTED = "rejected"  # never submitted; a row of rejects/ says why
    ERROR = "error"  # submitted, came back without a label; a row of errors/
    CANCELED = "canceled"  # submitted, taken back; a row of errors/
    PENDING = "pending"  # waits for people, or to be submitted


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """A row as the manifest holds it. `number` counts from 1; `text` is set where it could not be read."""

    number: int
    values: Mapping[str, Any]
    problem: Problem | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class PreparedRow:
    """A row with the task request made from it; attachments still as the manifest gave them.

    params: the type's own parameters, `instruction` among them.
    fingerprint: of what people would be asked; the same row gives the same one in every run.
    inputs: of what the request is made from; the same inputs give the same request, others may.
    generation: 0 for a row without a task; else how many it had before it is relabeled.
    """

    row: ManifestRow
    row_id: str
    unique_id: str
    params: dict[str, Any]
    common: dict[str, Any]
    attachments: list[Attachment]
    fingerprint: str
    input_digest: int
    source: dict[str, Any]
    generation: int = 0


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that was not submitted, and why."""

    row: ManifestRow
    row_id: str | None
    problem: Problem


@dataclass(frozen=True, slots=True)
class Submission:
    """A row for which there is a task. `unique_id` is None where the server knows none (contract A).

    row: counted from 1. fingerprint, inputs, generation: see `PreparedRow`.
    """

    row_id: str
    row: int
    task_id: str
    unique_id: str | None
    fingerprint: str
    input_digest: int
    generation: int
    created_at: datetime | None
    attachments: list[str]
    source: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ChunkReport:
    """What became of a chunk of rows: numbers of rows, or their ids."""

    created: int
    recovered: int  # their tasks were there already
    over_cap: list[str]  # not sent, for the job's cap was reached
    outcome_unknown: list[str]  # sent, and no answer says whether a task was made
    relabel_deferred: int  # held back or unsettled too, but of rows that have a task from before
    rejected: list[RejectedRow]
    unused_budget: int | None = None  # of the tasks that might have been created; None where nothing limits them
    first_invalid_response: str | None = None  # an answer to a creation that was no task, in words
