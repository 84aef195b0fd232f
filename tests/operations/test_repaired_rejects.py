"""What a user puts beside the rejects, or repairs in them, is never deleted and never replaced by fewer rows."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from labelflow.errors import InvalidInput, RunAborted, TooManyUnlabeled
from labelflow.jobs.job import Job
from labelflow.planning import plan
from tests.support.jobs import make_job
from tests.support.run_job import label
from tests.support.sandbox import running_in_process

ROWS, BAD = 12, 8  # rows of the manifest, and invalid ones of these


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.setenv("SCALE_API_KEY", "test_repairs")
    with running_in_process() as url:
        yield url


def make_rejects(folder: Path, url: str) -> Job:
    """A job of which BAD rows were rejected."""
    lines = [json.dumps({"id": f"r{number}", "text": " " if number < BAD else "x"}) for number in range(ROWS)]
    (folder / "manifest.jsonl").write_text("\n".join(lines))
    job = make_job(folder, scale={"url": url}, max_unlabeled=1.0)
    assert label(job).rejected == BAD
    return job


def repair(source: Path, target: Path) -> Path:
    pd.read_parquet(source).assign(text="repaired").to_parquet(target)
    return target


def with_manifest(job: Job, path: Path) -> Job:
    return job.model_copy(update={"manifest": job.manifest.model_copy(update={"uri": str(path)})})


def test_other_file_in_rejects_is_kept(tmp_path: Path, url: str) -> None:
    job = make_rejects(tmp_path, url)
    rejects = tmp_path / "out" / "rejects"
    repaired = repair(rejects / "rejects.parquet", rejects / "repaired.parquet")
    before = repaired.read_bytes()
    assert label(with_manifest(job, repaired), limit=3).created == 3
    assert repaired.read_bytes() == before
    assert label(with_manifest(job, repaired)).created == BAD - 3
    assert repaired.read_bytes() == before


def test_repaired_rejects_file_is_not_replaced_by_a_run_that_stops_early(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_rejects(tmp_path, url)
    path = tmp_path / "out" / "rejects" / "rejects.parquet"
    frame = pd.read_parquet(path)
    frame.loc[BAD // 2 :, "text"] = "repaired"
    frame.to_parquet(path)
    before = path.read_bytes()
    monkeypatch.setattr(plan, "MIN_ROWS_FOR_LIMIT", 2)
    strict = with_manifest(job.model_copy(update={"max_unlabeled": 0}), path)
    with pytest.raises(TooManyUnlabeled):
        label(strict)
    assert path.read_bytes() == before
    label(with_manifest(job, path), limit=2)
    assert path.read_bytes() == before, "--limit leaves rows out"
    assert label(with_manifest(job, path)).created == BAD // 2
    assert len(pd.read_parquet(path)) == BAD // 2, "what is still invalid"


def test_run_of_the_manifest_does_not_replace_rejects_that_were_edited(tmp_path: Path, url: str) -> None:
    job = make_rejects(tmp_path, url)
    path = tmp_path / "out" / "rejects" / "rejects.parquet"
    repair(path, path)
    before = path.read_bytes()
    with pytest.raises(InvalidInput, match=r"rejects\.parquet: was edited.*--manifest"):
        label(job)
    assert path.read_bytes() == before


@pytest.mark.parametrize("folder", ["labels", "errors", "_ledger/submissions"])
def test_foreign_parquet_file_in_the_output_gives_one_message(folder: str, tmp_path: Path, url: str) -> None:
    job = make_rejects(tmp_path, url)
    foreign = tmp_path / "out" / folder / "mine.parquet"
    foreign.parent.mkdir(exist_ok=True)
    pd.DataFrame({"a": [1]}).to_parquet(foreign)
    with pytest.raises(RunAborted, match=r"mine\.parquet is not a file of this job"):
        label(job)
    assert foreign.exists()
