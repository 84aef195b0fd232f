"""Manifests that public reports about labeling tools describe: each is read, or gives one message that says what to do.

The references are issues on GitHub.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labelflow.errors import InvalidInput
from labelflow.manifests import open_manifest


def read(folder: Path, name: str, content: bytes) -> list[dict[str, Any] | str]:
    """The values of each row, or the problem."""
    (folder / name).write_bytes(content)
    rows = open_manifest(str(folder / name)).rows
    return [dict(row.values) if row.problem is None else str(row.problem) for row in rows]


def test_commas_inside_of_a_text_reject_the_row_and_name_the_separator(tmp_path: Path) -> None:
    """hay-kot/homebox#154: one text with commas stopped the whole import."""
    first, second = read(tmp_path, "m.csv", b'name,description\nchair,red, wooden\ntable,"a, b"\n')
    assert str(first).startswith("(line): has 3 cells, expected 2; the separator is a comma; ")
    assert second == {"name": "table", "description": "a, b"}


def test_line_break_inside_of_quotes_is_part_of_the_text(tmp_path: Path) -> None:
    """IQTLabs/CRviz#60."""
    [row] = read(tmp_path, "m.csv", b'id,text\n1,"This line\nhas a line break."\n')
    assert row == {"id": "1", "text": "This line\nhas a line break."}


def test_tabs_separate_cells_that_contain_commas(tmp_path: Path) -> None:
    """pawelsalawa/letos#3080: the comma was taken for the separator."""
    rows = read(tmp_path, "m.csv", b"id\tname\tnote\n1\ta, b\tx, y\n2\tc, d\tz, w\n")
    assert rows[0] == {"id": "1", "name": "a, b", "note": "x, y"}


def test_semicolons_separate_numbers_with_decimal_commas(tmp_path: Path) -> None:
    """stant/mdcsvimporter2015#7 and bardsoftware/ganttproject#1246."""
    assert read(tmp_path, "m.csv", b"id;price\n1;8,25\n2;9,10\n")[0] == {"id": "1", "price": "8,25"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("utf-16.jsonl", '{"id": 1}\n'.encode("utf-16"), "is UTF-16 text; save it as UTF-8"),  # doccano/doccano#1870
        (
            "gb2312.jsonl",
            '{"text": "你好"}\n'.encode("gb2312"),
            "is not UTF-8 .*; save the file as UTF-8",
        ),  # doccano#22
        ("line-break.json", b'{"text": "This\ndoes\nnot\nwork"}\n', "control character in string"),  # doccano#1404
    ],
)
def test_file_that_cannot_be_read_gives_the_reason(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read(tmp_path, name, content)


def test_accents_and_ideographs_are_read(tmp_path: Path) -> None:
    """doccano/doccano#115: lines with ã and é were dropped without a message."""
    texts = ["Lorem ipsum", "é ã test.", "你好"]
    rows = read(tmp_path, "m.jsonl", "".join(f'{{"text": "{text}"}}\n' for text in texts).encode())
    assert rows == [{"text": text} for text in texts]
