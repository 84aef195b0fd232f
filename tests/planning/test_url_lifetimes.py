"""Signed URLs that end before annotators may open the task are reported before the first task."""

from __future__ import annotations

import json
import logging
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from labelflow.jobs.job import Job
from labelflow.planning.plan import Plan
from tests.support.jobs import make_job
from tests.support.s3_servers import Bucket

TASK = {
    "type": "annotation",
    "instruction": "Draw a box around each car.",
    "attachment": "{uri}",
    "attachment_type": "image",
    "objects_to_annotate": ["car"],
}


def image_job(folder: Path, uris: list[str], urgency: str = "day", **changes: Any) -> Job:
    lines = [json.dumps({"id": f"r{number}", "uri": uri}) + "\n" for number, uri in enumerate(uris)]
    (folder / "manifest.jsonl").write_text("".join(lines))
    attachments = {"check": "off", **changes}
    return make_job(folder, task={**TASK, "urgency": urgency}, attachments=attachments)


def warnings_and_remarks(job: Job, caplog: pytest.LogCaptureFixture) -> tuple[list[str], list[str]]:
    with caplog.at_level(logging.WARNING, "labelflow"), closing(Plan(job)) as plan:
        preview = plan.preview()
        assert preview.create == preview.rows
        return caplog.messages, plan.remarks


def signed(seconds: int) -> str:
    now = datetime.now(UTC)
    return f"https://b/a.jpg?X-Amz-Date={now:%Y%m%dT%H%M%SZ}&X-Amz-Expires={seconds}&X-Amz-Signature=5e2c"


def test_urls_of_the_manifest_that_end_early_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    job = image_job(tmp_path, ["https://b/a.jpg", signed(3600), signed(60), signed(8 * 86400)], urgency="week")
    [warning], [remark] = warnings_and_remarks(job, caplog)
    assert warning.startswith("row 3 (r2): its signed URL ends in "), "the first one to end"
    assert "seconds" in warning
    assert warning.endswith("and annotators may open the task for 7 days; sign the URLs for longer")
    assert remark == "rows with a signed URL that ends before their task may be opened: 2"
    assert "5e2c" not in warning


def test_temporary_credentials_are_reported(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    end = datetime.now(UTC) + timedelta(minutes=20, seconds=10)
    monkeypatch.setenv("AWS_SESSION_TOKEN", tmp_path.name)
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", end.isoformat())
    [warning], remarks = warnings_and_remarks(image_job(tmp_path, [bucket.uri("a.jpg")] * 3), caplog)
    assert warning.startswith("the AWS credentials are temporary: the URLs that they sign live 20 minutes, and")
    assert remarks == []


def test_session_token_of_unknown_end_is_reported(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", tmp_path.name)
    [warning], _ = warnings_and_remarks(image_job(tmp_path, [bucket.uri("a.jpg")] * 3), caplog)
    assert warning.startswith(
        "the AWS credentials are temporary, and it is not known when they end: the URLs that they"
    )
    assert tmp_path.name not in warning


@pytest.mark.parametrize(("presign", "is_short"), [("2h", True), ("7d", False)])
def test_short_presign_is_reported(
    tmp_path: Path, bucket: Bucket, caplog: pytest.LogCaptureFixture, presign: str, is_short: bool
) -> None:
    messages, _ = warnings_and_remarks(image_job(tmp_path, [bucket.uri("a.jpg")], presign=presign), caplog)
    expected = (
        "attachments.presign: signed URLs live 2 hours, and annotators may open a task for 1 day; "
        "raise attachments.presign"
    )
    assert messages == [expected] * is_short


def test_row_with_an_expired_url_is_rejected(tmp_path: Path) -> None:
    job = image_job(tmp_path, ["https://b/a.jpg?Expires=1700000000&Signature=5e2c&Key-Pair-Id=APKA"])
    with closing(Plan(job)) as plan:
        assert plan.preview().reject == 1
        [rejected] = plan.unsubmitted.rejected
    assert rejected.problem.reason == "is a signed URL that expired at 2023-11-14 22:13 UTC"


def test_texts_that_are_only_a_url_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    texts = ["see https://b/a.jpg", "s3://b/a.txt", " https://b/a.jpg\n"]
    lines = [json.dumps({"id": f"r{number}", "text": text}) + "\n" for number, text in enumerate(texts)]
    (tmp_path / "manifest.jsonl").write_text("".join(lines))
    [warning], [remark] = warnings_and_remarks(make_job(tmp_path), caplog)
    assert warning.startswith("row 2 (r1): its text is only a URL, which annotators would see as text; to show")
    assert remark == "rows whose text is only a URL, which annotators would see as text: 2"
