"""A whole run against a sandbox with many faults creates one task per row."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from labelflow.sandbox.testing import running
from labelflow.scale.client import ScaleClient
from tests.support.jobs import make_job
from tests.support.run_job import label

ROWS = 300
FAULTS = "seed=7, reset=2%, dropped=3%, 500-before=2%, 500-after=3%, 503-after=2%, 429=2%, broken-json=2%, error=2%"


@pytest.mark.parametrize("api_version", ["current", "2017"])
def test_one_task_per_row_with_every_sandbox_fault(
    tmp_path: Path, api_version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "test_faults")
    rows = [{"id": f"r{number}", "text": f"text {number}"} for number in range(ROWS)]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with running(api=api_version, faults=FAULTS) as url:
        summary = label(make_job(tmp_path, scale={"url": url}))
        with ScaleClient("test_faults", url) as client:
            created = Counter(str(task.metadata["row_id"]) for task in client.list_tasks())
    assert created == Counter(f"r{number}" for number in range(ROWS))
    assert summary.labeled + summary.error == summary.rows == ROWS
    assert summary.error > 0
