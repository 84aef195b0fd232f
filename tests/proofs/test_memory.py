"""Memory is bounded by bytes, not only by rows: the peak of a process that reads large rows, answers and rejects."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelflow.jobs.config import load_job
from labelflow.operations.label import LabelRun
from labelflow.planning.plan import Plan
from tests.conftest import StubServer
from tests.support.jobs import write_config

ROOT = Path(__file__).parents[2]
MEBIBYTE = 1 << 20
BASE = 200  # MiB that a process takes for its libraries


def run(name: str, folder: Path) -> dict[str, int]:
    """Run a scenario in a process of its own; returns what it prints."""
    command = [sys.executable, "-m", "tests.proofs.memory.scenarios", name, str(folder)]
    environment = {**os.environ, "SCALE_API_KEY": "test_x", "ARROW_DEFAULT_MEMORY_POOL": "system"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    print(name, folder.name, done.stdout)
    result: dict[str, int] = json.loads(done.stdout)
    return result


def write_lines(path: Path, pieces: Sequence[bytes | int]) -> None:
    """Write a text file. A number stands for as many MiB of one letter."""
    with path.open("wb") as file:
        for piece in pieces:
            if isinstance(piece, bytes):
                file.write(piece)
            else:
                for _ in range(piece):
                    file.write(b"x" * MEBIBYTE)


def test_line_of_400_mb_is_rejected_alone(tmp_path: Path) -> None:
    files: dict[str, list[bytes | int]] = {
        "jsonl": [b'{"id": "1"}\n{"id": "', 400, b'"}\n{"id": "3"}\n'],
        "csv": [b"id,text\n1,a\n2,", 400, b"\n3,c\n"],
    }
    for suffix, pieces in files.items():
        folder = tmp_path / suffix
        folder.mkdir()
        write_lines(folder / f"manifest.{suffix}", pieces)
        result = run("read_manifest", folder)
        assert (result["rows"], result["valid"]) == (3, 2)
        assert result["peak"] < BASE + 100


def test_quote_that_is_not_closed_does_not_read_the_rest_of_the_file_into_memory(tmp_path: Path) -> None:
    lines: list[bytes | int] = [1, b"\n"]
    write_lines(tmp_path / "manifest.csv", [b'id,text\n1,a\n2,"', *lines * 400])
    with pytest.raises(AssertionError, match="unclosed or misplaced quote"):
        run("read_manifest", tmp_path)


def test_thousand_rows_of_3_mb_are_read_and_checked_a_few_at_a_time(tmp_path: Path) -> None:
    rows: list[bytes | int] = []
    for number in range(1000):
        rows += [b'{"id": "%d", "text": "' % number, 3, b'"}\n']
    write_lines(tmp_path / "manifest.jsonl", rows)
    write_config(tmp_path)
    for name in ("read_manifest", "plan"):
        result = run(name, tmp_path)
        assert (result["rows"], result["valid"]) == (1000, 1000)
        assert result["peak"] < BASE + 200


TEXT = "x" * (3 * MEBIBYTE)


def test_parquet_rows_of_a_small_file_are_decoded_a_few_at_a_time(tmp_path: Path) -> None:
    """A dictionary holds the text once."""
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 2000, pa.int8()), pa.array([TEXT]))
    table = pa.table({"id": pa.array(range(2000)), "text": texts})
    pq.write_table(table, tmp_path / "manifest.parquet", compression="zstd", store_schema=False)
    assert (tmp_path / "manifest.parquet").stat().st_size < 100_000
    result = run("read_manifest", tmp_path)
    assert (result["rows"], result["valid"]) == (2000, 2000)
    assert result["peak"] < BASE + 200


def test_parquet_row_that_is_too_large_is_rejected_alone(tmp_path: Path) -> None:
    """A list of equal numbers takes a few bytes in the file."""
    numbers = pa.array(np.zeros(30 * MEBIBYTE, np.int64))
    offsets = pa.array([0, 1, len(numbers) - 1, len(numbers)], pa.int32())
    table = pa.table({"id": pa.array(["1", "2", "3"]), "numbers": pa.ListArray.from_arrays(offsets, numbers)})
    pq.write_table(table, tmp_path / "manifest.parquet", compression="zstd")
    assert (tmp_path / "manifest.parquet").stat().st_size < 100_000
    result = run("read_manifest", tmp_path)
    assert (result["rows"], result["valid"]) == (3, 2)
    assert result["peak"] < BASE + 800


def test_parquet_page_that_is_too_large_is_refused(tmp_path: Path) -> None:
    """Without a dictionary, a thousand texts are one page."""
    table = pa.table({"id": pa.array(range(300)), "text": pa.array([TEXT] * 300)})
    pq.write_table(table, tmp_path / "manifest.parquet", compression="zstd", use_dictionary=False)
    with pytest.raises(AssertionError, match="write row groups of fewer rows"):
        run("read_manifest", tmp_path)


def test_300_000_rejects_are_written_in_parts(tmp_path: Path) -> None:
    with (tmp_path / "manifest.jsonl").open("w") as file:
        for number in range(300_000):
            file.write(json.dumps({"id": f"row-{number}", "text": "", "camera": f"camera {number % 7}"}) + "\n")
    write_config(tmp_path)
    result = run("plan", tmp_path)
    assert (result["rows"], result["valid"]) == (300_000, 0)
    assert pq.read_metadata(tmp_path / "out" / "rejects" / "rejects.parquet").num_rows == 300_000
    assert result["peak"] < BASE + 150


class LargeAnswers:
    """An API that has an answer of some bytes to each task that was created."""

    def __init__(self, stub_server: StubServer, size: int) -> None:
        self.tasks: list[dict[str, Any]] = []
        self.largest_page = 0
        box = {"label": "car", "left": 12.5, "top": 20.25, "width": 30.75, "height": 40.125}
        self._boxes = [box] * (size // len(json.dumps(box)))
        stub_server.respond = self.respond

    def respond(self, method: str, path: str, body: bytes) -> tuple[int, Any, dict[str, str]]:
        if method == "POST":
            request = json.loads(body)
            task = {"task_id": f"t{len(self.tasks)}", "type": "annotation", "status": "pending"}
            task |= {"created_at": "2026-01-01T00:00:00Z", "unique_id": request["unique_id"]}
            self.tasks.append({**task, "metadata": request["metadata"]})
            return 200, self.tasks[-1], {}
        query = parse_qs(urlsplit(path).query)
        asked = query.get("status", ["completed"])[0]
        matching = self.tasks if asked == "completed" else []
        start, limit = int(query.get("offset", ["0"])[0]), int(query["limit"][0])
        answer = {"status": "completed", "completed_at": "2026-01-02T00:00:00Z"}
        docs = [
            {**task, **answer, "response": {"annotations": self._boxes}} for task in matching[start : start + limit]
        ]
        content = json.dumps({"docs": docs, "total": len(matching), "has_more": start + limit < len(matching)}).encode()
        self.largest_page = max(self.largest_page, len(content))
        return 200, content, {}


def test_thousand_answers_of_202_kb_are_written_in_parts(
    tmp_path: Path, stub_server: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "test_x")
    api = LargeAnswers(stub_server, 202_000)
    (tmp_path / "manifest.jsonl").write_text("".join(f'{{"id": "row-{number}"}}\n' for number in range(1000)))
    task = {"type": "annotation", "instruction": "i", "attachment": "https://h/a", "objects_to_annotate": ["car"]}
    job = load_job(str(write_config(tmp_path, task=task, attachments__check="off", scale__url=f"{stub_server.url}/v1")))
    with closing(LabelRun(Plan(job))) as opened:
        for chunk in opened.plan.chunks():
            opened.dispatcher.submit(chunk)
        opened.finish_submission()
    result = run("collect", tmp_path)
    assert (result["rows"], result["valid"]) == (1000, 1000)
    assert api.largest_page < 25_000_000
    assert result["peak"] < BASE + 600
