"""What a user puts beside the rejects, or repairs in them, is never deleted and never replaced by fewer rows."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from labelflow.accounting.summary import Summary
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


def outcomes(summary: Summary) -> tuple[int, int, int, int, int]:
    return summary.rows, summary.labeled, summary.rejected, summary.removed, summary.changed


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_repair_keeps_the_counts_of_the_job_and_the_repaired_row_is_the_row(
    tmp_path: Path, url: str, suffix: str
) -> None:
    job = make_rejects(tmp_path, url)
    frame = pd.read_parquet(tmp_path / "out" / "rejects").assign(text="repaired").iloc[2:5]
    path = tmp_path / f"repaired.{suffix}"
    frame.to_parquet(path) if suffix == "parquet" else frame.to_csv(path, index=False)
    assert outcomes(label(with_manifest(job, path))) == (ROWS, ROWS - BAD + 3, BAD - 3, 0, 0)
    assert len(pd.read_parquet(tmp_path / "out" / "rejects")) == BAD - 3, "the others are still rejected"
    ledger = pd.read_parquet(tmp_path / "out" / "_ledger" / "submissions").set_index("row_id")
    assert list(ledger.loc[["r2", "r3", "r4"], "row"]) == [3, 4, 5]
    assert outcomes(label(with_manifest(job, path))) == (ROWS, ROWS - BAD + 3, BAD - 3, 0, 0)
    assert outcomes(label(job)) == (ROWS, ROWS - BAD + 3, BAD - 3, 0, 0)
    (tmp_path / "manifest.jsonl").write_text(
        (tmp_path / "manifest.jsonl").read_text().replace('"r3", "text": " "', '"r3", "text": "new"')
    )
    assert label(job).changed == 1, "a row that changes after its repair is reported"


def test_repair_of_the_rejects_file_itself_keeps_the_counts(tmp_path: Path, url: str) -> None:
    job = make_rejects(tmp_path, url)
    path = tmp_path / "out" / "rejects" / "rejects.parquet"
    frame = pd.read_parquet(path)
    frame.loc[:1, "text"] = "repaired"
    frame.to_parquet(path)
    assert outcomes(label(with_manifest(job, path))) == (ROWS, ROWS - BAD + 2, BAD - 2, 0, 0)
    assert list(pd.read_parquet(path)["reject_row"]) == list(range(3, BAD + 1))
    assert outcomes(label(job)) == (ROWS, ROWS - BAD + 2, BAD - 2, 0, 0)
