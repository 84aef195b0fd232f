"""Signed URLs that end before annotators may open the task: counted, and reported before the first such task."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from labelflow.attachments.url_expiry import signed_until
from labelflow.jobs.job import Delivery, Job
from labelflow.records import PreparedRow
from labelflow.scale.models import Urgency
from labelflow.scale.task_types.shared.attachment_fields import is_s3_uri
from labelflow.storage import s3_client

TURNAROUNDS = {Urgency.IMMEDIATE: timedelta(hours=1), Urgency.DAY: timedelta(days=1), Urgency.WEEK: timedelta(days=7)}

log = logging.getLogger(__name__)


class UrlLifetimes:
    """Checks how long the signed URLs of rows live. Thread-safe.

    ending_early: how many rows have a signed URL in the manifest that ends before the task's turnaround.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._signs = job.attachments.deliver is Delivery.PRESIGN
        self._lock = threading.Lock()
        self._warned: set[str] = set()
        self.ending_early = 0

    def check(self, rows: Sequence[PreparedRow]) -> None:
        """Count the rows whose URLs end too soon. Logs one warning of each kind: of these rows, for the URL that ends
        first.
        """
        now = datetime.now(UTC)
        early = []
        for row in rows:
            turnaround = _turnaround(row)
            if self._signs and any(is_s3_uri(attachment.uri) for attachment in row.attachments):
                self._check_own_signatures(now, turnaround)
            ends = [end for attachment in row.attachments if (end := signed_until(attachment.uri))]
            if ends and min(ends) < now + turnaround:
                early.append((min(ends), turnaround, row))
        if not early:
            return
        with self._lock:
            self.ending_early += len(early)
        end, turnaround, row = min(early, key=lambda each: each[0])
        self._warn(
            "manifest",
            f"row {row.row.number} ({row.row_id}): its signed URL ends in {_duration(end - now)}, and "
            f"annotators may open the task for {_duration(turnaround)}; sign the URLs for longer",
        )

    def _check_own_signatures(self, now: datetime, turnaround: timedelta) -> None:
        presign = self._job.attachments.presign
        if presign < turnaround:
            self._warn(
                "presign",
                f"attachments.presign: signed URLs live {_duration(presign)}, and annotators may open a task for "
                f"{_duration(turnaround)}; raise attachments.presign",
            )
        if "credentials" in self._warned:
            return
        credentials = s3_client.temporary_credentials()
        if credentials is None:
            return
        needed, fix = min(presign, turnaround), "use the access key of a user, or set a shorter urgency"
        if credentials.end is None:
            self._warn(
                "credentials",
                "the AWS credentials are temporary, and it is not known when they end: the URLs that they sign end "
                f"with them, and annotators may open a task for {_duration(turnaround)}; {fix}",
            )
        elif credentials.end < now + needed:
            self._warn(
                "credentials",
                f"the AWS credentials are temporary: the URLs that they sign live {_duration(credentials.end - now)}, "
                f"and annotators may open a task for {_duration(turnaround)}; {fix}",
            )

    def _warn(self, kind: str, message: str) -> None:
        with self._lock:
            if kind in self._warned:
                return
            self._warned.add(kind)
        log.warning("%s", message)


def _turnaround(row: PreparedRow) -> timedelta:
    """The time in which Scale answers a task, and so the time for which its URLs must live."""
    return TURNAROUNDS[Urgency(row.common.get("urgency", Urgency.DAY))]


def _duration(time: timedelta) -> str:
    """
    >>> _duration(timedelta(minutes=19, seconds=40))
    '20 minutes'
    >>> _duration(timedelta(days=7))
    '7 days'
    """
    seconds = max(0.0, time.total_seconds())
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * size or seconds == size:
            number = round(seconds / size)
            return f"{number} {unit}" if number != 1 else f"1 {unit[:-1]}"
    return f"{round(seconds)} seconds"
