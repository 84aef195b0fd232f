"""Attachments wherever they are in a task: checked, signed, redacted and recorded alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import pytest
import requests

from labelflow.jobs.job import Job
from labelflow.scale.task_types import known_types, replace_values, task_type
from tests.support.examples import examples, own_params
from tests.support.jobs import make_job
from tests.support.media_server import picture
from tests.support.run_job import label
from tests.support.s3_servers import Bucket
from tests.support.sandbox import running_in_process

KEY = "test_places"
PLACES: dict[str, dict[str, Any]] = {
    "attachment": {"type": "imageannotation", "attachment": "{uri}"},
    "attachments": {"type": "videoannotation", "attachments": ["{uri}"], "attachment_type": "image"},
    "contents": {"type": "textcollection", "attachments": [{"type": "image", "content": "{uri}"}]},
    "context": {"type": "namedentityrecognition", "text": "Ada", "context_attachments": [{"attachment": "{uri}"}]},
    "hypothesis": {"type": "segmentannotation", "hypothesis": {"annotations": {"combined": {"image": "{uri}"}}}},
    "untyped": {"type": "untyped", "layers": {"masks": [["{uri}"]]}},
}


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    with running_in_process() as url:
        yield url


def job_of(folder: Path, api: str, task: dict[str, Any], uris: list[str], **changes: Any) -> Job:
    """A job with a row for each URI. Its name is that of the test: the sandbox keeps the tasks of all of them."""
    rows = [{"id": f"r{number}", "uri": uri} for number, uri in enumerate(uris)]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    # Parameters that the cases leave out would be those of a project.
    task = {**task, "project": "p"}
    return make_job(folder, name=folder.name[-60:], task=task, scale={"url": api}, max_unlabeled="100%", **changes)


def sent_params(api: str, job: Job) -> list[dict[str, Any]]:
    """The parameters of the tasks of a job, as the API received them."""
    docs = requests.get(f"{api}/tasks?limit=100", auth=(KEY, ""), timeout=10).json()["docs"]
    return [doc["params"] for doc in docs if doc["metadata"]["job"] == job.name]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALE_API_KEY", KEY)


@pytest.mark.parametrize("place", PLACES)
def test_attachment_is_checked_signed_redacted_and_recorded(
    tmp_path: Path, api: str, bucket: Bucket, place: str
) -> None:
    bucket.fill(["a b.png"], picture())
    job = job_of(tmp_path, api, PLACES[place], [bucket.uri("a b.png"), bucket.uri("missing.png")])
    summary = label(job)
    assert summary.rejected == 1, "checked"
    rejects = pd.read_parquet(tmp_path / "out/rejects")
    assert "there is no object 'missing.png'" in rejects["reject_reason"][0]
    [params] = sent_params(api, job)
    found = task_type(str(job.task["type"])).find_attachments(params)
    sent = json.dumps(params)
    assert "s3://" not in sent, "signed"
    assert sent.count("X-Amz-Signature") == 1
    assert all(requests.get(item.value, timeout=10).content == picture() for item in found)
    [part] = (tmp_path / "out/_ledger/submissions").glob("*.parquet")
    assert pd.read_parquet(part)["attachments"][0].tolist() == [bucket.uri("a b.png")], "recorded"
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert not [path for path in written if b"X-Amz" in path.read_bytes()], "redacted"


@pytest.mark.parametrize("name", known_types)
def test_no_attachment_of_a_type_leaves_unsigned(tmp_path: Path, api: str, bucket: Bucket, name: str) -> None:
    params = own_params(examples()[name]["request"])
    found = [item for item in known_types[name].find_attachments(params) if item.kind != "text"]
    uris = {item.path: bucket.uri(f"{number}.bin") for number, item in enumerate(found)}
    task = {**replace_values(params, uris), "type": name}
    job = job_of(tmp_path, api, task, ["-"], attachments={"check": "off"})
    label(job)
    [sent] = sent_params(api, job)
    urls = [item.value for item in known_types[name].find_attachments(sent) if item.kind != "text"]
    assert [urlsplit(url).path for url in urls] == [f"/{uri.removeprefix('s3://')}" for uri in uris.values()]
    assert json.dumps(sent).count("X-Amz-Signature") == len(uris)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("uri", ["s3://b/a b.png", "gs://b/a b.png", "scaledata://606e2a0a/8ac09a90"])
def test_uri_that_scale_reads_itself_is_sent_unchanged(tmp_path: Path, api: str, place: str, uri: str) -> None:
    deliver = "s3" if uri.startswith("s3") else "presign"
    job = job_of(tmp_path, api, PLACES[place], [uri], attachments={"check": "off", "deliver": deliver})
    label(job)
    [params] = sent_params(api, job)
    assert uri in json.dumps(params)


def test_s3_uri_is_refused_by_the_2017_api(tmp_path: Path) -> None:
    with running_in_process(api="2017") as api:
        task = {"type": "annotation", "attachment": "{uri}", "objects_to_annotate": ["car"]}
        job = job_of(tmp_path, api, task, ["s3://b/a.png"], attachments={"check": "off", "deliver": "s3"})
        assert label(job).rejected == 1
    [reason] = pd.read_parquet(tmp_path / "out/rejects")["reject_reason"]
    assert "attachment: has the scheme s3://" in reason


def test_s3_uri_within_a_text_is_reported(tmp_path: Path, api: str, caplog: pytest.LogCaptureFixture) -> None:
    task = {**PLACES["context"], "instruction": "Compare with ![this](s3://b/example.png)."}
    label(job_of(tmp_path, api, task, ["gs://b/a.png", "gs://b/b.png"]))
    [message] = [record.getMessage() for record in caplog.records if "s3://" in record.getMessage()]
    assert message.startswith("row 1 (r0): `instruction` has an s3:// URI within a text, which annotators cannot open")
