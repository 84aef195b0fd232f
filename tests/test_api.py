"""The Python API: what a notebook does, without Prefect."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

import labelflow
from labelflow.errors import InvalidInput
from labelflow.operations.collect import CollectionFailed
from tests.support.commands import ROOT
from tests.support.jobs import write_config
from tests.support.s3_servers import Bucket
from tests.support.sandbox import running_in_process


@pytest.fixture(autouse=True)
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"id": f"r{number}", "text": f"text {number}" if number else " "} for number in range(5)]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setenv("SCALE_API_KEY", "test_api")


def test_a_job_is_labeled_and_its_labels_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_in_process() as url:
        monkeypatch.setenv("SCALE_API_URL", url)
        config = write_config(tmp_path, max_unlabeled="50%", scale={})
        job = labelflow.load_job(str(config))
        first = labelflow.label(job, limit=3)
        summary = labelflow.label(job)
        relabeled = labelflow.label(job, relabel="errors")
    assert (first.labeled, first.rejected, first.beyond_limit) == (2, 1, 2)
    assert (summary.labeled, summary.created, relabeled.created) == (4, 2, 0)
    labels = labelflow.read_labels(job.output, ["row_id"])
    assert isinstance(labels, pa.Table)
    assert labels.sort_by("row_id")["row_id"].to_pylist() == ["r1", "r2", "r3", "r4"]
    [status] = labelflow.status(str(tmp_path))
    assert (status.job, status.counts.labeled) == ("job", 4)


def test_labels_in_s3_are_collected_and_read(tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_in_process(turnaround=0) as url:
        monkeypatch.setenv("SCALE_API_URL", url)
        job = labelflow.load_job(
            str(write_config(tmp_path, max_unlabeled="50%", scale={}, output=f"{bucket.uri('out')}"))
        )
        labelflow.label(job, wait=False)
        [result] = labelflow.collect(f"{bucket.uri('out')}")
    assert (result.waiting, result.is_complete) == (0, True)
    assert labelflow.read_labels(f"{bucket.uri('out')}").num_rows == 4


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="contains no job"):
        labelflow.collect(str(tmp_path))
    with pytest.raises(InvalidInput, match="holds no labels"):
        labelflow.read_labels(str(tmp_path))
    with running_in_process() as url:
        monkeypatch.setenv("SCALE_API_URL", url)
        labelflow.label(labelflow.load_job(str(write_config(tmp_path, max_unlabeled="50%", scale={}))))
        (tmp_path / "out" / "_ledger" / "config.json").write_text("{")
        with pytest.raises(CollectionFailed, match=r"config\.json is corrupt"):
            labelflow.collect(str(tmp_path))


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'lable'"):
        labelflow.lable  # type: ignore[attr-defined]  # noqa: B018


def test_import_is_fast_and_the_api_needs_no_prefect() -> None:
    code = (
        "import sys, labelflow\nassert not {'pyarrow', 'pydantic'} & set(sys.modules)\n"
        "labelflow.label\nassert 'prefect' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
