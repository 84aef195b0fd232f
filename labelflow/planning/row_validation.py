"""Validate the rows of a chunk: build their task requests and check their attachments. Sends nothing to Scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from labelflow.attachments import AttachmentChecker, MediaInfo
from labelflow.jobs.connection import allows_private_attachments
from labelflow.jobs.job import Job
from labelflow.planning.requests.task_requests import TaskRequestBuilder
from labelflow.problems import Problem
from labelflow.records import ManifestRow, PreparedRow, RejectedRow


def open_checker(job: Job) -> AttachmentChecker:
    """Open the checker of a job's attachments; close it at the end."""
    return AttachmentChecker(
        job.attachments.check,
        threads=job.submit.concurrency,
        allow_private=allows_private_attachments(job),
        accept_unmeasured=job.attachments.unmeasured == "accept",
    )


def validate_rows(
    builder: TaskRequestBuilder, checker: AttachmentChecker, rows: Sequence[ManifestRow]
) -> tuple[list[PreparedRow], list[RejectedRow]]:
    """Return the rows that can be submitted, in order, and those that cannot, each with its first problem."""
    results = [builder.build(row) for row in rows]
    rejected = [result for result in results if isinstance(result, RejectedRow)]
    prepared = [result for result in results if isinstance(result, PreparedRow)]
    attachments = [(row, attachment) for row in prepared for attachment in row.attachments]
    inspections = checker.inspect([attachment for _, attachment in attachments])
    row_problems: dict[int, Problem] = {}
    media: dict[int, list[MediaInfo | None]] = {}
    for (row, _), inspection in zip(attachments, inspections, strict=True):
        media.setdefault(row.row.number, []).append(inspection.media)
        if inspection.problem is not None:
            row_problems.setdefault(row.row.number, inspection.problem)
    rejected += [
        RejectedRow(row.row, row.row_id, row_problems[row.row.number])
        for row in prepared
        if row.row.number in row_problems
    ]
    valid = [row for row in prepared if row.row.number not in row_problems]
    return [replace(row, media=media.get(row.row.number, [])) for row in valid], rejected
