"""Tables of answers: each row has the columns of its own submission, in the order of the answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from labelflow.outputs.answer import Answer
from labelflow.outputs.answer_tables import AnswerTables
from labelflow.outputs.folders import ERRORS, LABELS
from labelflow.scale.models import Task
from labelflow.tables.schemas import submission_schema
from tests.support.examples import FOLDER
from tests.support.jobs import make_job

SOURCE = pa.struct([("id", pa.string())])
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def tables(tmp_path: Path) -> AnswerTables:
    return AnswerTables(make_job(tmp_path), SOURCE)


def make_answers(responses: Sequence[Any], status: str = "completed", **fields: Any) -> list[Answer]:
    """Answers to the tasks t0, t1, ..."""
    answers = []
    for n, response in enumerate(responses):
        document = {"task_id": f"t{n}", "type": "x", "status": status, "response": response, **fields}
        answers.append(Answer.of(Task.parse(document), n))
    return answers


def make_submissions(attachments: Sequence[list[str]]) -> pa.Table:
    """Submissions of the tasks t0, t1, ..., with these attachments, created at noon."""
    rows = [
        {
            "row_id": f"r{n}",
            "row": n + 1,
            "task_id": f"t{n}",
            "input_digest": 0,
            "generation": 0,
            "created_at": NOON,
            "attachments": uris,
            "source": {"id": f"r{n}"},
        }
        for n, uris in enumerate(attachments)
    ]
    return pa.Table.from_pylist(rows, schema=submission_schema(SOURCE))


def test_one_attachment_is_a_string_and_several_are_a_list(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    tables = AnswerTables(job.model_copy(update={"task": {"type": "x", "attachments": "{uris}"}}), SOURCE)
    attachments = [["a"], ["b", "c"], [], ["d"]]
    table = tables.table(LABELS, make_answers([{"category": "x"}] * 4), make_submissions(attachments))
    assert table["attachment"].to_pylist() == ["a", None, None, "d"]
    assert table["attachments"].to_pylist() == [None, ["b", "c"], [], None]
    assert table["source"].to_pylist() == [{"id": f"r{n}"} for n in range(4)]


def test_main_attachment_has_its_column_beside_the_context(tables: AnswerTables) -> None:
    table = tables.table(LABELS, make_answers([{"category": "x"}] * 2), make_submissions([["a"], ["b", "context"]]))
    assert table["attachment"].to_pylist() == ["a", "b"]
    assert table["attachments"].to_pylist() == [None, ["b", "context"]]


def test_unparsed_answers_keep_their_position(tables: AnswerTables) -> None:
    responses = [{"category": "a"}, {"box": 1}, {"category": ["b", "c"]}, ["a list"], {"category": "d"}]
    table = tables.table(LABELS, make_answers(responses), make_submissions([["x"]] * 5))
    assert table["category"].to_pylist() == [["a"], None, ["b", "c"], None, ["d"]]
    assert table["row_id"].to_pylist() == [f"r{n}" for n in range(5)]
    assert tables.unparsed == 2


@pytest.mark.parametrize(("fields", "hour"), [({}, 12), ({"created_at": "2026-11-23T11:00:00Z"}, 11)])
def test_created_at_falls_back_to_the_ledger(tables: AnswerTables, fields: dict[str, Any], hour: int) -> None:
    for prefix, status in ((LABELS, "completed"), (ERRORS, "error")):
        table = tables.table(prefix, make_answers([{"category": "a"}], status, **fields), make_submissions([["x"]]))
        assert table["created_at"].to_pylist() == [NOON.replace(hour=hour)]


def test_no_answers_give_an_empty_table(tables: AnswerTables) -> None:
    assert len(tables.table(LABELS, [], make_submissions([]))) == 0


def test_urls_of_result_files_have_no_signature(tmp_path: Path) -> None:
    job = make_job(tmp_path, task={"type": "videoannotation", "attachments": ["https://b.example/a.jpg"]})
    url = "https://b.example/frames.json"
    signed = f"{url}?X-Amz-Credential=A&X-Amz-Signature=5ec2e7"
    answers = make_answers([{"annotations": {"url": signed}, "events": signed}, f'{{"annotations": "{signed}"}}'])
    table = AnswerTables(job, SOURCE).table(LABELS, answers, make_submissions([["x"]] * 2))
    assert table["annotations_file"].to_pylist() == [url, url]
    assert table["events_file"].to_pylist() == [url, None]
    assert "5ec2e7" not in str(table.to_pydict())


@pytest.mark.parametrize(
    ("example", "reason"),
    [
        ("bad_attachment_response", "(HTTP 403: https://media.example.com/gone.png)"),
        (
            "bad_frame_response",
            "(frame 10: Invalid JSON Format: …: HTTP 200: https://media.example.com/lidar/7/10.json)",
        ),
    ],
)
def test_reason_of_an_error_names_what_could_not_be_used(example: str, reason: str) -> None:
    response = json.loads((FOLDER / "today" / "errors.json").read_text())[example]
    for status in ("error", "completed"):
        [answer] = make_answers([response], status)
        assert answer.folder == ERRORS
        assert answer.reason == f"One or more attachments could not be downloaded. {reason}"


@pytest.mark.parametrize("frames", [None, "x", [None, 7, {"frame": 1}, {"message": None}]])
def test_malformed_frames_of_an_error_are_no_obstacle(frames: object) -> None:
    [answer] = make_answers([{"error": "Failed.", "frames": frames}], "error")
    assert answer.reason.startswith("Failed.")
