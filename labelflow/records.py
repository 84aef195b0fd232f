"""The stages of one row: one frozen type per stage, from the manifest to the answer.

ManifestRow → PreparedRow → (attachment checked) → Submission → Answer
          ↘ Rejected ↙
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from labelflow.attachments import Attachment, MediaInfo
from labelflow.problems import Problem


class Outcome(StrEnum):
    """The outcome of a row of the manifest. Every row has exactly one."""

    LABELED = "labeled"  # annotators answered; the row is in labels/
    REJECTED = "rejected"  # not submitted; the row is in rejects/ with the reason
    ERROR = "error"  # submitted, finished without a label; the row is in errors/
    CANCELED = "canceled"  # submitted, then canceled; the row is in errors/
    PENDING = "pending"  # not submitted yet, or not answered yet


@dataclass(frozen=True, slots=True)
class RejectedOrigin:
    """Where a row of a rejects file comes from.

    number: its position in the manifest that it was rejected from. input_digest: of its values there, see
    `PreparedRow`; None if it is not known.
    """

    number: int
    input_digest: int | None


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """A row as read from the manifest.

    number: position in the manifest, counted from 1.
    values: column → value; may be empty if the row could not be read.
    problem: why the row could not be read; None if it could.
    text: the raw text of a row that could not be read, if the format has one.
    size: about how many bytes it takes in the manifest.
    origin: of a row of a rejects file; None for any other.
    """

    number: int
    values: Mapping[str, Any]
    problem: Problem | None = None
    text: str | None = None
    size: int = field(default=0, compare=False)
    origin: RejectedOrigin | None = None

    @property
    def original_number(self) -> int:
        """Its position in the manifest of the job, also if the row was read from a rejects file."""
        return self.origin.number if self.origin else self.number


@dataclass(frozen=True, slots=True)
class PreparedRow:
    """A row with the task request built from it. Attachments are not signed yet: they are the manifest's values.

    params: parameters of the task type, including `instruction`.
    common: parameters that every task type has, such as `callback_url`.
    fingerprint: digest of what annotators are asked (32 hex digits); the same in every run for the same row.
    input_digest: 64-bit digest of the values that the request is built from. Equal digests mean equal requests;
    different digests may still give the same request.
    source: the carried columns, the row id first; written to labels/ and errors/.
    generation: 0 for a row without a task; else the number of tasks that the row already has.
    media: what the check of the attachments has measured, in the order of `attachments`; empty before the check.
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
    media: list[MediaInfo | None] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that is not submitted, with the reason. `row_id` is None if the row has no valid id."""

    row: ManifestRow
    row_id: str | None
    problem: Problem


@dataclass(frozen=True, slots=True)
class Submission:
    """A row that has a task, as recorded in the ledger.

    row: position in the manifest, counted from 1.
    unique_id: None if the server does not return one (the 2017 API).
    fingerprint, input_digest, generation, source: see `PreparedRow`.
    created_at: the server's time; None if it is not known.
    attachments: URIs of the attachments, without signatures. media: see `PreparedRow`.
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
    media: list[MediaInfo | None] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SubmissionReport:
    """The result of submitting one chunk: counts of rows, or row ids."""

    created: int
    recovered: int  # rows whose task already existed on the server
    over_cap: list[str]  # not sent, because the cap is reached
    outcome_unknown: list[str]  # sent, but no response shows whether a task was created
    relabel_deferred: int  # over the cap or outcome unknown, for rows that have an earlier task
    rejected: list[RejectedRow]
    unused_tasks: int | None = None  # granted tasks that were not created; None if there is no limit
    first_invalid_response: str | None = None  # describes the first response to a POST that was not a valid task
