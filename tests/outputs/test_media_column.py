"""`media` in labels/: what the check of the attachments has measured, one entry per attachment."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from tests.media.files import wav
from tests.support.jobs import make_job
from tests.support.media_server import MediaServer, file_response, picture
from tests.support.run_job import label
from tests.support.s3_servers import Bucket
from tests.support.sandbox import running_in_process

BOXES = {"type": "annotation", "instruction": "?", "attachment": "{uri}", "objects_to_annotate": ["car"]}
SPEECH = {"type": "audiotranscription", "attachment": "{uri}", "verbatim": False}
TWO_PICTURES = {
    "type": "comparison",
    "attachment_type": "image",
    "attachments": ["{uri}", "{uri}?2"],
    "instruction": "?",
    "choices": ["a", "b"],
}
EMPTY = {"width": None, "height": None, "duration": None}


@pytest.fixture(autouse=True)
def test_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "test_media")


def media_of(folder: Path, uri: str, task: dict[str, Any], check: str = "auto") -> Any:
    """`media` of the label of a job with this attachment, with lists and objects as JSON has them."""
    (folder / "manifest.jsonl").write_text(json.dumps({"id": "a", "uri": uri}) + "\n")
    with running_in_process() as url:
        assert label(make_job(folder, task=task, scale__url=url, attachments={"check": check})).labeled == 1
    [value] = pd.read_parquet(folder / "out" / "labels")["media"]
    return None if value is None else [entry and json.loads(pd.Series(entry).to_json()) for entry in value]


def rotated() -> bytes:
    """A JPEG of 40 x 20 pixels that people see as 20 x 40."""
    target, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(target, "JPEG", exif=exif)
    return target.getvalue()


def test_image_has_its_size_as_people_see_it(tmp_path: Path, media: MediaServer) -> None:
    content = rotated()
    uri = media.serve("/a", file_response(content, "binary/octet-stream"))
    [found] = media_of(tmp_path, uri, BOXES)
    assert (found["width"], found["height"]) == (20, 40)
    assert (found["content_type"], found["bytes"], found["duration"]) == ("image/jpeg", len(content), None)


def test_recording_in_s3_has_its_duration(tmp_path: Path, bucket: Bucket) -> None:
    content = wav(3)
    bucket.fill(["a.wav"], content)
    [found] = media_of(tmp_path, bucket.uri("a.wav"), SPEECH)
    assert found["duration"] == pytest.approx(3)
    assert (found["content_type"], found["bytes"], found["width"]) == ("audio/wav", len(content), None)


def test_each_attachment_has_an_entry(tmp_path: Path, media: MediaServer) -> None:
    uri = media.serve("/a.png", file_response(picture(64, 48), "image/png"))
    assert [(found["width"], found["height"]) for found in media_of(tmp_path, uri, TWO_PICTURES)] == [(64, 48)] * 2


def test_object_that_was_only_listed_has_its_size(tmp_path: Path, bucket: Bucket) -> None:
    bucket.fill(["a.jpg"], b"12345")
    expected = {**EMPTY, "content_type": "image/jpeg", "bytes": 5}
    assert media_of(tmp_path, bucket.uri("a.jpg"), BOXES, "exists") == [expected]


def test_what_was_not_checked_is_null(tmp_path: Path, media: MediaServer) -> None:
    text = {"type": "categorization", "attachment_type": "text", "attachment": "{uri}", "categories": ["x", "y"]}
    assert media_of(tmp_path, "What is this?", {**text, "instruction": "?"}) == [None]
    other = tmp_path / "other"
    other.mkdir()
    uri = media.serve("/b.png", file_response(picture(64, 48), "image/png"))
    assert media_of(other, uri, BOXES, "off") == [None]
