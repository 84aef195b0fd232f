"""What the check of attachments finds wrong."""

from __future__ import annotations

from collections.abc import Sequence

from labelflow.attachments import Attachment, AttachmentChecker
from labelflow.problems import Problem


def find_problems(checker: AttachmentChecker, attachments: Sequence[Attachment]) -> list[Problem | None]:
    """The problem of each attachment, None for a valid one."""
    return [inspection.problem for inspection in checker.inspect(attachments)]
