"""The three jobs of configs/ on their samples: with both API versions, with the output on disk and in S3."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pytest

from demo.__main__ import BUCKET, JOBS
from demo.samples import DATA_SETS
from labelflow.jobs.config import load_job
from labelflow.manifests import open_manifest
from labelflow.storage.folder import Folder
from labelflow.storage.opening import open_folder
from tests.support.run_job import label
from tests.support.sandbox import running_in_process

DATA_SET_BY_JOB = dict(zip(JOBS, ["streets", "calls", "messages"], strict=True))
OUTPUT_ROWS = ["labels/", "rejects/", "errors/", "_ledger/", "_ledger/submissions/"]
TYPED_COLUMNS = {"street-boxes": "annotations", "call-transcripts": "transcript", "message-categories": "category"}


def download(folder: Folder, below: str, to: Path) -> Path:
    """Copy the files below a prefix to disk, for readers that know no local S3."""
    for file in folder.list(below):
        content = folder.read(file.name)
        assert content is not None
        (to / below).mkdir(parents=True, exist_ok=True)
        (to / file.name).write_bytes(content)
    return to / below


@pytest.mark.parametrize(
    ("name", "where", "api_version"), [*((name, "disk", "current") for name in JOBS), (JOBS[0], "s3", "2017")]
)
def test_every_manifest_row_is_accounted_for(
    name: str, where: str, api_version: str, tmp_path: Path, demo_s3: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "test_demo")
    for key, value in demo_s3.items():
        monkeypatch.setenv(key, value)
    output = str(tmp_path / "out") if where == "disk" else f"s3://{BUCKET}/out/{api_version}/{name}"
    with running_in_process(api=api_version) as url:
        monkeypatch.setenv("SCALE_API_URL", url)
        job = load_job(f"configs/{name}.yaml", output=output)
        summary = label(job)
        assert label(job).created == 0

    data_set = DATA_SETS[DATA_SET_BY_JOB[name]]
    assert summary.rows == data_set.rows
    assert (summary.rejected, summary.labeled) == (len(data_set.bad_rows), data_set.rows - len(data_set.bad_rows))

    folder = open_folder(output)
    labels, rejects = download(folder, "labels/", tmp_path / "read"), download(folder, "rejects/", tmp_path / "read")
    manifest = [row.values.get(job.manifest.row_id) for row in open_manifest(job.manifest.uri).rows]
    by_pandas = pd.read_parquet(labels)
    rejected = pd.read_parquet(rejects)
    assert by_pandas["row_id"].is_unique
    assert len(by_pandas) + len(rejected) == len(manifest)
    assert {*by_pandas["row_id"], *rejected[job.manifest.row_id].dropna()} == {key for key in manifest if key}
    assert {bad.index + 1 for bad in data_set.bad_rows} == set(rejected["reject_row"])
    assert by_pandas[TYPED_COLUMNS[name]].notna().all()
    assert not by_pandas["attachment"].str.contains("X-Amz-").any()

    written = [folder.read(file.name) or b"" for below in OUTPUT_ROWS for file in folder.list(below)]
    assert len(written) >= 4
    secrets = [b"X-Amz-Signature", b"X-Amz-Credential", b"test_demo", demo_s3["AWS_SECRET_ACCESS_KEY"].encode()]
    assert not [secret for secret in secrets if any(secret in content for content in written)]

    files = f"{labels}/*.parquet"
    distinct = duckdb.execute("select count(distinct row_id) from read_parquet(?)", [files]).fetchone()
    assert distinct == (summary.labeled,)
    assert pl.read_parquet(files)["row_id"].to_list() == list(by_pandas["row_id"])
