"""Row ids that a user lists: they are read as the run reads them, and name no other row."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from labelflow.errors import InvalidInput
from labelflow.planning.relabel.row_ids_file import match_row_ids, read_row_ids


def match(listed: list[str], known: list[str]) -> tuple[list[str], list[str]]:
    return match_row_ids(listed, lambda ids: [row_id in known for row_id in ids])


@pytest.mark.parametrize(
    ("listed", "known", "matched"),
    [
        ("1.0", ["1", "2"], "1"),
        ("1.0", ["1", "1.0"], "1.0"),
        (" a ", ["a"], "a"),
        (" a ", ["a", " a "], " a "),
        ('"a"', ["a"], "a"),
        ('"say ""a"""', ['say "a"'], 'say "a"'),
        ('"1.0"', ["1"], "1"),
        ("1.5", ["1"], None),
        ("a\u2028b", ["a", "b"], None),
        ("a b", ["a", "b", "ab"], None),
        ("007", ["7"], None),
    ],
)
def test_id_names_itself_or_its_unquoted_form(listed: str, known: list[str], matched: str | None) -> None:
    assert match([listed], known) == (([matched], []) if matched else ([], [listed]))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_text_file(tmp_path: Path, encoding: str, line_end: str) -> None:
    path = tmp_path / "rows.txt"
    path.write_bytes(line_end.join(["a", " b", "", "c\u2028d", "ü"]).encode(encoding))
    assert read_row_ids(str(path), "id") == ["a", " b", "c\u2028d", "ü"]


def test_manifest_of_pandas(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pd.DataFrame({"id": [1.0, None, 3.0]}).to_parquet(path)
    assert read_row_ids(str(path), "id") == ["1", "3"]
    with pytest.raises(InvalidInput, match="has no column 'key'"):
        read_row_ids(str(path), "key")


@pytest.mark.parametrize(("content", "reason"), [(b" \n\n", "contains no row id"), (b"\xff\xfea", "is not UTF-8")])
def test_unreadable_text_file(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "rows.txt").write_bytes(content)
    with pytest.raises(InvalidInput, match=reason):
        read_row_ids(str(tmp_path / "rows.txt"), "id")
