"""The sample data sets: created twice, measured, and compared with their declared properties."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from demo.samples import DATA_SETS, BadRow, make_samples, speech, write_manifests
from demo.samples import calls as calls_module
from demo.samples.messages import CATEGORIES, good_messages
from demo.samples.streets import PAGE_NAME
from labelflow.media import probe_file

S3_URI = "s3://demo/samples"
HTTP_URL = "http://127.0.0.1:9000/samples"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    make_samples(folder)
    write_manifests(folder, S3_URI, HTTP_URL)
    return folder


def streets(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "manifests" / "streets.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def calls(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifests" / "calls.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def messages(folder: Path) -> list[dict[str, Any]]:
    return pq.read_table(folder / "manifests" / "messages.parquet").to_pylist()


def good_rows(rows: list[Any], bad: tuple[BadRow, ...]) -> list[Any]:
    bad_indexes = {row.index for row in bad}
    return [row for index, row in enumerate(rows) if index not in bad_indexes]


def file_contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_samples_are_reproducible(folder: Path, tmp_path: Path) -> None:
    make_samples(tmp_path)
    write_manifests(tmp_path, S3_URI + "/", HTTP_URL + "/")

    assert file_contents(tmp_path) == file_contents(folder)


def test_complete_data_sets_stay_and_incomplete_ones_are_rebuilt(folder: Path, tmp_path: Path) -> None:
    kept = {name: content for name, content in file_contents(folder).items() if name != "calls/000003.wav"}
    for name, content in kept.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    drawn_at = (tmp_path / "streets" / "000000.jpg").stat().st_mtime_ns

    make_samples(tmp_path)

    assert (tmp_path / "streets" / "000000.jpg").stat().st_mtime_ns == drawn_at
    assert file_contents(tmp_path) == file_contents(folder)


def test_no_temporary_files_are_left_behind(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["calls", "manifests", "streets"]


def test_folders_hold_the_files_named_in_the_manifests(folder: Path) -> None:
    pictures = {Path(row["image_uri"]).name for row in streets(folder)} - {"000065.jpg", "000066.jpg"}
    recordings = {Path(row["recording"]).name for row in calls(folder)} - {"000017.wav"}

    assert {path.name for path in (folder / "streets").iterdir()} == pictures
    assert {path.name for path in (folder / "calls").iterdir()} == recordings


@pytest.mark.parametrize(("read", "name"), [(streets, "streets"), (calls, "calls"), (messages, "messages")])
def test_every_manifest_has_its_declared_rows(folder: Path, read: Any, name: str) -> None:
    rows = read(folder)
    bad = DATA_SETS[name].bad_rows
    key = next(iter(rows[0]))

    assert len(rows) == DATA_SETS[name].rows
    assert [rows[row.index][key] for row in bad] == [row.row_id for row in bad]
    ids = [row[key] for row in good_rows(rows, bad)]
    assert None not in ids
    assert len(set(ids)) == len(ids) == len(rows) - len(bad)


def test_every_image_opens_and_is_unique(folder: Path) -> None:
    rows = good_rows(streets(folder), DATA_SETS["streets"].bad_rows)
    paths = [folder / "streets" / Path(row["image_uri"]).name for row in rows]
    for path in paths:
        with Image.open(path) as image:
            image.load()
            assert (image.format, image.size) == ("JPEG", (640, 400))

    assert len(paths) >= 64
    assert len({path.read_bytes() for path in paths}) == len(paths)


def test_street_rows_are_typed_and_reachable_by_s3_and_http(folder: Path) -> None:
    rows = good_rows(streets(folder), DATA_SETS["streets"].bad_rows)

    assert all(set(row) == {"image_id", "image_uri", "camera", "captured_at", "lane_count"} for row in rows)
    assert {row["lane_count"] for row in rows} == {2, 3, 4}
    assert all(row["captured_at"].endswith("Z") for row in rows)
    schemes = Counter(row["image_uri"].removesuffix(Path(row["image_uri"]).name) for row in rows)
    assert schemes == {f"{S3_URI}/streets/": 56, f"{HTTP_URL}/streets/": 8}


def test_without_an_http_url_every_good_image_is_in_s3(tmp_path: Path) -> None:
    write_manifests(tmp_path, S3_URI)

    rows = good_rows(streets(tmp_path), DATA_SETS["streets"].bad_rows)
    assert all(row["image_uri"].startswith(f"{S3_URI}/streets/") for row in rows)


def test_bad_street_rows_are_invalid_as_listed(folder: Path) -> None:
    rows = streets(folder)
    missing, ftp, page, twice, no_id = (rows[row.index] for row in DATA_SETS["streets"].bad_rows)

    assert not (folder / "streets" / Path(missing["image_uri"]).name).exists()
    assert ftp["image_uri"].startswith("ftp://media.example.com/")
    assert page["image_uri"] == f"{S3_URI}/streets/{PAGE_NAME}"
    with (folder / "streets" / PAGE_NAME).open("rb") as file:
        assert probe_file(file, "image/jpeg").kind == "website"
    assert [row["image_id"] for row in rows].count(twice["image_id"]) == 2
    assert no_id["image_id"] is None


def test_every_good_recording_is_a_few_seconds_of_speech(folder: Path) -> None:
    rows = good_rows(calls(folder), DATA_SETS["calls"].bad_rows)
    paths = [folder / "calls" / Path(row["recording"]).name for row in rows]
    for path in paths:
        with path.open("rb") as file:
            media = probe_file(file)
        assert media.kind == "audio"
        assert media.seconds is not None
        assert 2 <= media.seconds <= 6
        samples = memoryview(path.read_bytes()[44:]).cast("h")
        assert max(samples) > 4000, "too quiet to be speech"

    assert len(paths) >= 14
    assert len({path.read_bytes() for path in paths}) == len(paths)


def test_bad_calls_are_invalid_as_listed(folder: Path) -> None:
    rows = calls(folder)
    on_hold, missing, empty = (
        folder / "calls" / Path(rows[row.index]["recording"]).name for row in DATA_SETS["calls"].bad_rows
    )

    with on_hold.open("rb") as file:
        assert probe_file(file).seconds == pytest.approx(31 * 60)
    assert on_hold.stat().st_size <= 8_000_000
    assert not missing.exists()
    assert empty.stat().st_size == 0


def test_messages_are_typed(folder: Path) -> None:
    schema = pq.read_schema(folder / "manifests" / "messages.parquet")

    assert schema.names == ["message_id", "channel", "received_at", "text"]
    assert schema.field("received_at").type == pa.timestamp("ms", tz="UTC")
    assert pa.types.is_dictionary(schema.field("channel").type)


def test_good_messages_are_nonempty_and_unique(folder: Path) -> None:
    texts = [row["text"] for row in good_rows(messages(folder), DATA_SETS["messages"].bad_rows)]

    assert len(texts) >= 210
    assert all(text.strip() == text and len(text) > 15 for text in texts)
    assert not any(mark in text for text in texts for mark in "{|}")
    assert len(set(texts)) == len(texts)


def test_messages_cover_all_five_categories_equally() -> None:
    counts = Counter(message.category for message in good_messages())

    assert set(counts) == set(CATEGORIES) == {"delivery", "refund", "product question", "praise", "other"}
    assert min(counts.values()) == max(counts.values())


def test_bad_messages_are_invalid_as_listed(folder: Path) -> None:
    rows = messages(folder)
    empty, white_space, null, twice = (rows[row.index] for row in DATA_SETS["messages"].bad_rows)

    assert empty["text"] == ""
    assert white_space["text"] != ""
    assert white_space["text"].strip() == ""
    assert null["text"] is None
    same_id = [row["text"] for row in rows if row["message_id"] == twice["message_id"]]
    assert len(set(same_id)) == 2


def test_missing_speech_library_gives_one_clear_message() -> None:
    command = [sys.executable, "-S", "-P", speech.__file__]  # -S: no installed packages
    process = subprocess.run(command, input="[]", capture_output=True, text=True, timeout=30, check=False)

    assert process.returncode == 1
    assert "pip install espeakng-loader" in process.stderr
    assert len(process.stderr.splitlines()) == 1


def test_unspeakable_line_is_an_error_with_the_message(tmp_path: Path) -> None:
    line = speech.SpokenLine(str(tmp_path / "x.wav"), "no-such-voice", 160, 50, "Hello.")

    with pytest.raises(speech.SpeechUnavailable, match="no voice no-such-voice"):
        speech.speak([line])
    assert list(tmp_path.iterdir()) == []


def test_recordings_are_numbered_like_their_rows(folder: Path) -> None:
    for row in calls(folder):
        assert row["recording"] == f"{S3_URI}/calls/{row['call_id'].removeprefix('call-')}.wav"
        assert row["agent"] in calls_module.AGENTS
