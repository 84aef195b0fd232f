"""The ledger looks up many tasks at once, from any of its parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from labelflow.ledger import ledger as ledger_module
from labelflow.ledger import part_cache
from labelflow.ledger.ledger import Ledger
from labelflow.records import Submission
from labelflow.storage.local import LocalFolder
from labelflow.tables.key_index import MISSING

SOURCE = pa.struct([("id", pa.string())])
PARTS, PART_ROWS = 5, 4


@pytest.fixture(params=["kept", "read again"])
def ledger(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setattr(part_cache, "CACHED_BYTES", 1 << 20 if request.param == "kept" else 1)
    made = Ledger.load(LocalFolder(str(tmp_path)), SOURCE)
    for start in range(0, PARTS * PART_ROWS, PART_ROWS):
        made.record([submission(number) for number in range(start, start + PART_ROWS)])
    return made


def submission(number: int, generation: int = 0) -> Submission:
    return Submission(
        row_id=f"r{number}",
        row=number + 1,
        task_id=f"t{number}-{generation}",
        unique_id=None,
        fingerprint=f"f{number}",
        input_digest=number,
        generation=generation,
        created_at=None,
        attachments=[f"a{number}"],
        source={"id": f"r{number}"},
    )


def test_submissions_are_returned_in_the_requested_order(ledger: Ledger) -> None:
    wanted = np.random.default_rng(7).permutation(PARTS * PART_ROWS)[:13]
    found = ledger.submissions(ledger.find([f"t{number}-0" for number in wanted]))
    assert found["row_id"].to_pylist() == [f"r{number}" for number in wanted]
    assert found["attachments"].to_pylist() == [[f"a{number}"] for number in wanted]


def test_foreign_and_superseded_tasks_are_not_found(ledger: Ledger) -> None:
    ledger.record([submission(6, generation=1)])
    assert ledger.superseded() == ["t6-0"]
    places = ledger.find(["t5-0", "t6-0", "elsewhere", "t6-1"])
    assert (places == MISSING).tolist() == [False, True, True, False]
    assert ledger.submissions(places[[0, 3]])["row"].to_pylist() == [6, 7]
    assert ledger.has_task("t6-0")


@pytest.mark.parametrize(("size", "tables"), [(1 << 20, 1), (1, 3)])
def test_large_submissions_are_read_in_batches(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, size: int, tables: int
) -> None:
    monkeypatch.setattr(ledger_module, "BATCH_BYTES", size)
    monkeypatch.setattr(ledger_module, "MAX_CONCURRENT_READS", 2)
    positions = np.arange(PARTS * PART_ROWS)
    batches = list(ledger.submission_batches(positions))
    assert len(batches) == tables
    assert pa.concat_tables(batches)["row"].to_pylist() == (positions + 1).tolist()
