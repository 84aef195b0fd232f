"""An output folder belongs to one job, mode, server and account; claiming it is atomic."""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from labelflow.errors import InvalidInput
from labelflow.jobs.job import Job
from labelflow.ledger import job_record
from labelflow.ledger.context import open_existing_job
from labelflow.operations.cancel import cancel
from labelflow.operations.collect import collect_job
from labelflow.storage.folder import Folder
from labelflow.storage.opening import open_folder
from tests.support.jobs import make_job
from tests.support.run_job import label
from tests.support.s3_servers import Bucket, StrictS3
from tests.support.sandbox import running_in_process

SOURCE = pa.struct([("id", pa.string())])


def create_job(folder: Path, url: str, rows: int = 3, **changes: object) -> Job:
    lines = [json.dumps({"id": f"r{number}", "text": f"text {number}"}) for number in range(rows)]
    (folder / "manifest.jsonl").write_text("\n".join(lines))
    return make_job(folder, **{"scale": {"url": url}, **changes})


@pytest.fixture(params=["disk", "s3", "s3 without If-None-Match"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    if request.param == "disk":
        return open_folder(str(tmp_path / "out"))
    if request.param == "s3":
        bucket: Bucket = request.getfixturevalue("bucket")
        return open_folder(bucket.uri("out"))
    strict: StrictS3 = request.getfixturevalue("strict_s3")
    (strict.root / "bucket" / tmp_path.name).mkdir(exist_ok=True)
    return open_folder(f"s3://bucket/{tmp_path.name}/out")


def test_file_is_created_once(folder: Folder) -> None:
    assert folder.create("a/b.json", b"first")
    assert not folder.create("a/b.json", b"second")
    assert folder.read("a/b.json") == b"first"


def test_age_is_measured_by_the_store(folder: Folder) -> None:
    assert folder.age("a/b.json") is None
    folder.write("a/b.json", b"x")
    age = folder.age("a/b.json")
    assert age is not None
    assert 0 <= age < 30


def test_file_from_the_future_is_new(tmp_path: Path) -> None:
    folder = open_folder(str(tmp_path))
    folder.write("a.json", b"x")
    os.utime(tmp_path / "a.json", (time.time() + 3600,) * 2)
    assert folder.age("a.json") == 0


@pytest.mark.parametrize("attempt", range(5))
def test_of_two_jobs_that_claim_a_folder_at_the_same_time_one_is_refused(tmp_path: Path, attempt: int) -> None:
    folder, barrier = open_folder(str(tmp_path / "out")), threading.Barrier(8)
    refused: list[str] = []

    def claim(name: str) -> None:
        job = make_job(tmp_path, name=name)
        barrier.wait()
        try:
            job_record.claim(folder, job, SOURCE)
        except InvalidInput:
            refused.append(name)

    threads = [threading.Thread(target=claim, args=(f"job-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    owner = json.loads(folder.read(job_record.JOB) or b"")["job"]
    assert sorted(refused) == sorted({f"job-{number}" for number in range(8)} - {owner})


def test_test_output_is_refused_for_live_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_in_process() as url:
        monkeypatch.setenv("SCALE_API_KEY", "test_a")
        assert label(create_job(tmp_path, url)).labeled == 3
        monkeypatch.setenv("SCALE_API_KEY", "live_a")
        live = create_job(tmp_path, url, scale={"url": url, "mode": "live"})
        with pytest.raises(InvalidInput, match="holds test tasks, and the job says mode: live; use another `output`"):
            label(live, wait=False)


def test_output_of_another_account_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_in_process(turnaround=3600) as url:
        job = create_job(tmp_path, url, scale={"url": url, "mode": "live"})
        monkeypatch.setenv("SCALE_API_KEY", "live_one")
        label(job, wait=False)
        monkeypatch.setenv("SCALE_API_KEY", "live_two")
        with pytest.raises(InvalidInput, match=r"holds tasks that .* does not have for this key"):
            label(job, wait=False)
        for operation in (collect_job, cancel):
            with closing(open_existing_job(job)) as context, pytest.raises(InvalidInput, match="not have for this key"):
                operation(context)
        monkeypatch.setenv("SCALE_API_KEY", "live_one")
        with closing(open_existing_job(job)) as context:
            assert collect_job(context).waiting == 3


def test_output_of_another_format_is_refused_with_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "test_a")
    with running_in_process() as url:
        job = create_job(tmp_path, url)
        label(job)
        path = tmp_path / "out" / job_record.JOB
        record = json.loads(path.read_text())
        del record["format"]
        path.write_text(json.dumps(record))
        message = r"another version of labelflow \(format 1, this version uses 3\); finish the job with that version"
        with pytest.raises(InvalidInput, match=message):
            label(job)
        with pytest.raises(InvalidInput, match=message):
            open_existing_job(job)
