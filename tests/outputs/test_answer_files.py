"""Files of answers: their number depends on the bytes of the answers, and replacing reads one row group at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelflow.ledger import ledger as ledger_module
from labelflow.ledger.ledger import Ledger
from labelflow.outputs import answer_files
from labelflow.outputs.answer import Answer
from labelflow.outputs.answer_files import AnswerFiles
from labelflow.outputs.answer_tables import AnswerTables
from labelflow.outputs.folders import ERRORS, LABELS
from labelflow.outputs.outcomes import OutcomeIndex
from labelflow.records import Submission
from labelflow.scale.models import Task
from labelflow.storage.local import LocalFolder
from labelflow.tables import compaction, external_sort
from tests.support.jobs import make_job

ROWS = 60
SOURCE = pa.struct([("id", pa.string())])
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Output:
    """An output folder in which each row has a task."""

    path: Path
    ledger: Ledger
    files: AnswerFiles

    def add(self, number: int, response: Any, minutes: int = 0) -> None:
        at = (START + timedelta(minutes=minutes)).isoformat()
        doc = {"task_id": f"t{number}", "type": "categorization", "status": "completed", "completed_at": at}
        position = int(self.ledger.find([f"t{number}"])[0])
        self.files.add(Answer.of(Task.parse({**doc, "response": response}), position))

    def parts(self, name: str) -> list[Path]:
        return sorted((self.path / name).glob("*.parquet"))

    def read(self, name: str) -> dict[str, str]:
        """row_id → response; the rows of each file are in the order of the manifest."""
        found: dict[str, str] = {}
        for path in self.parts(name):
            rows = pq.read_table(path).to_pylist()
            numbers = [int(row["row_id"]) for row in rows]
            assert numbers == sorted(numbers)
            assert not found.keys() & {row["row_id"] for row in rows}
            found |= {row["row_id"]: row["response_json"] for row in rows}
        return found


@pytest.fixture
def output(tmp_path: Path) -> Output:
    folder = LocalFolder(str(tmp_path / "out"))
    ledger = Ledger.load(folder, SOURCE)
    for start in range(0, ROWS, 20):
        ledger.record([submission(number) for number in range(start, start + 20)])
    tables = AnswerTables(make_job(tmp_path), SOURCE)
    files = AnswerFiles(folder, tables, OutcomeIndex(folder), ledger, lambda: None)
    return Output(tmp_path / "out", ledger, files)


def submission(number: int) -> Submission:
    return Submission(
        row_id=f"{number}",
        row=number + 1,
        task_id=f"t{number}",
        unique_id=None,
        fingerprint="f",
        input_digest=number,
        generation=0,
        created_at=START,
        attachments=["text " * 100],
        source={"id": f"{number}"},
    )


def test_large_answers_are_written_before_many_are_buffered(output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_files, "PART_BYTES", 10_000)
    for number in range(ROWS):
        output.add(number, {"category": "a", "notes": "x" * 1000})
        assert len(output.parts(LABELS)) == (number + 1) // 10
    output.files.flush()
    assert len(output.read(LABELS)) == ROWS


def test_answers_to_large_rows_are_written_in_several_parts(output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "BATCH_BYTES", 1)
    monkeypatch.setattr(ledger_module, "MAX_CONCURRENT_READS", 1)
    for number in reversed(range(ROWS)):
        output.add(number, {"category": "a"})
    output.files.flush()
    assert len(output.parts(LABELS)) == 3
    assert len(output.read(LABELS)) == ROWS


def test_answers_are_replaced_in_every_row_group(output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_sort, "GROUP_ROWS", 10)
    for number in range(ROWS):
        output.add(number, {"category": "a"})
        if number == ROWS // 2:
            output.files.flush()
    output.files.flush()
    compaction.compact(LocalFolder(str(output.path)), LABELS, output.ledger.row_numbers)
    output.files._outcomes.refresh(exact=True)
    (merged,) = output.parts(LABELS)
    assert pq.read_metadata(merged).num_row_groups == 6
    for number in (3, 25, 59):
        output.add(number, {"category": "b"}, minutes=1)
    for number in (4, 44):
        output.add(number, {"error": "failed"}, minutes=1)
    output.add(5, {"category": "late"}, minutes=-1)
    output.files.flush()
    output.files.remove(["t0", "t1"])
    labels = output.read(LABELS)
    assert len(labels) == ROWS - 4
    assert {row_id for row_id, response in labels.items() if response == '{"category":"b"}'} == {"3", "25", "59"}
    assert output.read(ERRORS) == {"4": '{"error":"failed"}', "44": '{"error":"failed"}'}
    assert pq.read_metadata(merged).num_row_groups == 6
    output.files.remove([f"t{number}" for number in range(ROWS)])
    assert output.parts(LABELS) == output.parts(ERRORS) == []
