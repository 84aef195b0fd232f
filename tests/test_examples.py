"""The scripts of examples/ run, against a sandbox and a Prefect server, and print what they promise."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from labelflow.sandbox.testing import running
from tests.support.commands import ROOT, environment
from tests.support.jobs import make_job
from tests.support.media_server import MediaServer, file_response, picture
from tests.support.prefect_server import running_prefect_server
from tests.support.run_job import label

ROWS = 5
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))


@dataclass
class ExampleEnvironment:
    """A manifest of texts, a sandbox and a Prefect server."""

    folder: Path
    sandbox_url: str
    variables: dict[str, str]

    @property
    def output(self) -> Path:
        return self.folder / "out"

    def run(self, example: str, *arguments: object) -> str:
        """The stdout of an example that must succeed."""
        command = [sys.executable, str(ROOT / "examples" / f"{example}.py"), *map(str, arguments)]
        process = subprocess.run(
            command, cwd=self.folder, env=self.variables, capture_output=True, text=True, timeout=120
        )
        assert process.returncode == 0, process.stderr
        return process.stdout


@pytest.fixture(scope="module")
def example_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExampleEnvironment]:
    folder = tmp_path_factory.mktemp("examples")
    rows = [{"id": f"00{number}", "text": f"message {number}"} for number in range(ROWS)]
    (folder / "messages.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with running() as url, running_prefect_server(folder / "prefect") as prefect:
        variables = environment(
            folder / "prefect", PREFECT_API_URL=prefect, SCALE_API_URL=url, PYTHONPATH=str(ROOT), NO_COLOR="1"
        )
        yield ExampleEnvironment(folder, url, variables)


@pytest.fixture(scope="module")
def submitted(example_environment: ExampleEnvironment) -> str:
    """The output of submit_job.py: the other examples read the labels that it created."""
    return example_environment.run(
        "submit_job", example_environment.folder / "messages.jsonl", example_environment.output
    )


def test_submit_job_labels_every_row(submitted: str) -> None:
    assert f"{ROWS} of {ROWS} rows labeled, 0 rejected, 0 pending" in submitted


@pytest.mark.usefixtures("submitted")
def test_pandas_joins_labels_to_the_manifest(example_environment: ExampleEnvironment) -> None:
    manifest = example_environment.folder / "messages.jsonl"
    printed = example_environment.run("read_with_pandas", manifest, "id", example_environment.output)
    assert f"{ROWS} of {ROWS} rows have a label" in printed
    assert "000" in printed


@pytest.mark.usefixtures("submitted")
def test_duckdb_counts_categories(example_environment: ExampleEnvironment) -> None:
    printed = example_environment.run("read_with_duckdb", example_environment.output)
    lines = re.findall(r"^(\w+) +(\d+) answers, the slowest after", printed, re.MULTILINE)
    assert {category for category, _ in lines} <= {"delivery", "refund", "praise"}
    assert sum(int(answers) for _, answers in lines) == ROWS


@pytest.mark.usefixtures("submitted")
def test_events_of_the_job_arrive(example_environment: ExampleEnvironment) -> None:
    printed = example_environment.run("react_to_events", "message-topics").splitlines()
    expected = f"labeled={ROWS} output={example_environment.output}"
    assert printed == [f"labelflow.labels.written: {expected}", f"labelflow.job.completed: {expected}"]


def test_boxes_become_rows(
    example_environment: ExampleEnvironment, media: MediaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "test_boxes")
    media.serve("/street.png", file_response(picture(200, 100), "image/png"))
    folder = example_environment.folder / "boxes"
    folder.mkdir()
    rows = [{"id": f"i{number}", "image": f"{media.url}/street.png?{number}"} for number in range(ROWS)]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {
        "type": "annotation",
        "instruction": "Draw a box around each car.",
        "attachment": "{image}",
        "objects_to_annotate": ["car"],
        "with_labels": True,
    }
    job = make_job(folder, name="boxes", task=task, scale__url=example_environment.sandbox_url)
    assert label(job).labeled == ROWS
    printed = example_environment.run("unnest_boxes", job.output, folder / "boxes.parquet")
    boxes = pd.read_parquet(folder / "boxes.parquet")
    labels = pd.read_parquet(f"{job.output}/labels")
    assert list(boxes.columns) == ["row_id", "attachment", "left", "top", "width", "height", "label"]
    assert len(boxes) == labels["annotations"].map(len).sum() > 0
    assert set(boxes["label"]) == {"car"}
    assert f"{len(boxes)} boxes on {boxes['row_id'].nunique()} of {ROWS} images" in printed


@pytest.mark.parametrize("example", EXAMPLES)
def test_example_is_short_and_explains_itself(example: str) -> None:
    text = (ROOT / "examples" / f"{example}.py").read_text()
    assert 20 <= len(text.splitlines()) <= 60
    assert f"python examples/{example}.py" in text.split('"""')[1]
    assert f'"{example}"' in Path(__file__).read_text(), "each example is run above"
