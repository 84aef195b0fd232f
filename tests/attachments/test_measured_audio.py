"""The length of recordings is measured through ranged reads, over HTTP and from S3."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from labelflow.attachments import Attachment, AttachmentChecker, CheckLevel
from labelflow.planning.plan import Plan
from tests.media.files import amr, mp3_frame, mp4, opus, wav
from tests.support.attachments import find_problems
from tests.support.jobs import make_job
from tests.support.media_server import MediaServer, file_response
from tests.support.s3_servers import Bucket

Store = Callable[[str, bytes], str]
TOO_LONG = r"is 40\.[01] minutes long"
NOT_MEASURED = mp4(60, b"soun")[:-1000]


@pytest.fixture(params=["http", "s3"])
def store(request: pytest.FixtureRequest) -> Store:
    """Stores a file; returns its URI."""
    if request.param == "s3":
        bucket: Bucket = request.getfixturevalue("bucket")

        def put(name: str, content: bytes) -> str:
            bucket.fill([name], content)
            return bucket.uri(name)

        return put
    media: MediaServer = request.getfixturevalue("media")
    return lambda name, content: media.serve(f"/{name}", file_response(content, "audio/mpeg"))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("piped.wav", wav(10, declared=0xFFFFFFFF), None),
        ("long.wav", wav(2400, declared=0x7FFFFFFF), TOO_LONG),
        ("claims-an-hour.wav", wav(60, declared=3600 * 8000), None),
        ("long.mp3", mp3_frame(9) * (2400 * 44100 // 1152), TOO_LONG),
        ("long.opus", opus(2400), TOO_LONG),
        ("short.opus", opus(60), None),
        ("long.amr", amr(2400), TOO_LONG),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_length_is_measured(store: Store, name: str, content: bytes, reason: str | None) -> None:
    with AttachmentChecker(CheckLevel.CONTENT, allow_private=True) as checker:
        [problem] = find_problems(checker, [Attachment("attachment", store(name, content), "audio")])
        assert checker.unmeasured == 0
    assert problem is None if reason is None else problem and re.fullmatch(reason, problem.reason)


@pytest.mark.parametrize(("unmeasured", "created"), [("accept", 2), ("reject", 1)])
def test_job_decides_about_recordings_that_cannot_be_measured(
    tmp_path: Path, store: Store, unmeasured: str, created: int
) -> None:
    uris = [store("a.wav", wav(10)), store("b.m4a", NOT_MEASURED)]
    lines = [json.dumps({"id": f"r{number}", "uri": uri}) + "\n" for number, uri in enumerate(uris)]
    (tmp_path / "manifest.jsonl").write_text("".join(lines))
    task = {"type": "audiotranscription", "attachment": "{uri}", "attachment_type": "audio", "verbatim": False}
    attachments = {"unmeasured": unmeasured, "allow_private": True}
    with closing(Plan(make_job(tmp_path, task=task, attachments=attachments))) as plan:
        assert plan.preview().create == created
        rejected = [each.problem.reason for each in plan.unsubmitted.rejected]
        remarks = plan.remarks
    assert rejected == ["is audio whose length could not be measured"] * (2 - created)
    expected = ["recordings whose length could not be measured (attachments.unmeasured): 1"]
    assert remarks == expected * (created - 1)
