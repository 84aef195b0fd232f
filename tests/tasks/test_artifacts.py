"""What the artifacts of Prefect's UI contain."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pytest

from labelflow.accounting.summary import Summary
from labelflow.outputs.rejects import write_rejects
from labelflow.problems import Problem
from labelflow.records import ManifestRow, Outcome, RejectedRow
from labelflow.storage.local import LocalFolder
from tasks import artifacts

ROW_ID = (
    "[free](https://evil.example) ![x](//t.example/p.png) <img src=x> `c` |\n"
    "# www.evil.example \x1b]52;c;YQ==\x07 img_1"
)


def test_row_ids_and_reasons_are_escaped_markdown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables: dict[str, list[dict[str, Any]]] = {}
    monkeypatch.setattr(artifacts, "create_table_artifact", lambda key, table, description: tables.update({key: table}))
    monkeypatch.setattr(artifacts, "create_markdown_artifact", lambda *_, **__: None)
    monkeypatch.setattr(artifacts, "_show_progress", lambda *_: None)
    folder = LocalFolder(str(tmp_path))
    rejected = RejectedRow(ManifestRow(1, {"id": ROW_ID}), ROW_ID, Problem("id", ROW_ID, "correct it"))
    write_rejects(folder, [rejected], pa.schema([("id", pa.string())]))
    counts = dict.fromkeys(["rows", *(outcome.value for outcome in Outcome)], 1)
    summary = SimpleNamespace(job="job", cost=None, unlabeled=1, **counts)
    artifacts.show_summary(folder, cast(Summary, summary))
    [row] = tables["label-job-unlabeled"]
    assert row["outcome"] == "rejected"
    assert row["row_id"] == (
        r"\[free\](https\://evil.example) \!\[x\](//t.example/p.png) \<img src=x\> \`c\` \| \# www\.evil.example "
        r"\\x1b\]52;c;YQ==\\x07 img_1"
    )
    assert row["row_id"][:40] in row["reason"]
