"""Check: bind the rows of a chunk, and look at their attachments. Nothing is sent to Scale."""

from __future__ import annotations

from collections.abc import Sequence

from labelflow.attachments import AttachmentChecker
from labelflow.planning.task_requests import TaskRequestBuilder
from labelflow.problems import Problem
from labelflow.records import ManifestRow, PreparedRow, RejectedRow


def validate_rows(
    builder: TaskRequestBuilder, checker: AttachmentChecker, rows: Sequence[ManifestRow]
) -> tuple[list[PreparedRow], list[RejectedRow]]:
    """The rows that can be submitted, in order, and those that cannot, with the first problem of each."""
    results = [builder.build(row) for row in rows]
    rejected = [result for result in results if isinstance(result, RejectedRow)]
    bound = [result for result in results if isinstance(result, PreparedRow)]
    wanted = [(row, attachment) for row in bound for attachment in row.attachments]
    verdicts = checker.check([attachment for _, attachment in wanted])
    bad: dict[int, Problem] = {}
    for (row, _), problem in zip(wanted, verdicts, strict=True):
        if problem is not None:
            bad.setdefault(row.row.number, problem)
    rejected += [RejectedRow(row.row, row.row_id, bad[row.row.number]) for row in bound if row.row.number in bad]
    return [row for row in bound if row.row.number not in bad], rejected
