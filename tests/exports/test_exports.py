"""Exports, read with the readers that users have."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from labelflow.errors import InvalidInput
from labelflow.exports.classes import job_classes
from labelflow.exports.splits import Split
from labelflow.jobs.job import Job
from labelflow.operations.export import CLASSES, MANIFEST, Export, export_labels
from tests.support.jobs import make_job
from tests.support.media_server import MediaServer, file_response, picture
from tests.support.run_job import label
from tests.support.s3_servers import Bucket
from tests.support.sandbox import running_in_process

ROWS = 12
BOXES = {
    "type": "annotation",
    "instruction": "?",
    "attachment": "{uri}",
    "objects_to_annotate": ["car", "truck", "tram"],
    "with_labels": True,
}
SHAPES = {
    "type": "imageannotation",
    "instruction": "?",
    "attachment": "{uri}",
    "geometries": {
        "box": {"objects_to_annotate": [{"choice": "vehicle", "subchoices": ["car", "truck"]}]},
        "polygon": {"objects_to_annotate": ["road"]},
        "point": {"objects_to_annotate": ["sign"]},
        "ellipse": {"objects_to_annotate": ["wheel"]},
    },
}


def labeled_job(folder: Path, media: MediaServer, task: dict[str, Any], rows: int = ROWS, **changes: Any) -> Job:
    """A job whose rows are all labeled by the sandbox."""
    media.serve("/street/a.png", file_response(picture(640, 480), "image/png"))
    lines = [
        {"id": f"r{number}", "uri": f"{media.url}/street/a.png?{number}", "camera": f"c{number % 3}"}
        for number in range(rows)
    ]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with running_in_process() as url:
        job = make_job(folder, task=task, metadata=["camera"], scale__url=url, **changes)
        assert label(job).labeled == rows
    return job


@pytest.fixture(autouse=True)
def test_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "test_exports")


@pytest.fixture
def boxes(tmp_path: Path, media: MediaServer) -> Job:
    return labeled_job(tmp_path, media, BOXES)


def label_rows(job: Job) -> list[dict[str, Any]]:
    return pq.ParquetDataset(f"{job.output}/labels").read().to_pylist()


def load_coco(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def test_coco_is_evaluated_as_perfect_against_itself(tmp_path: Path, boxes: Job) -> None:
    result = export_labels(boxes, "coco", str(tmp_path / "coco"))
    truth = load_coco(tmp_path / "coco" / "instances.json")
    rows = label_rows(boxes)
    drawn = sum(len(row["annotations"]) for row in rows)
    assert (len(truth.imgs), len(truth.anns)) == (ROWS, drawn)
    assert [truth.cats[number]["name"] for number in (1, 2, 3)] == ["car", "truck", "tram"]
    assert {(image["width"], image["height"]) for image in truth.imgs.values()} == {(640, 480)}
    assert {image["file_name"] for image in truth.imgs.values()} == {"street/a.png"}
    with contextlib.redirect_stdout(io.StringIO()):
        found = truth.loadRes([{**annotation, "score": 1.0} for annotation in truth.anns.values()])
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1.0)
    counts = result.counts["all"]
    assert (counts.labels, counts.rows, counts.items, dict(counts.omitted_items)) == (ROWS, ROWS, drawn, {})


def test_coco_holds_boxes_polygons_and_points_and_counts_the_rest(tmp_path: Path, media: MediaServer) -> None:
    job = labeled_job(tmp_path, media, SHAPES, rows=40)
    result = export_labels(job, "coco", str(tmp_path / "coco"))
    truth = load_coco(tmp_path / "coco" / "instances.json")
    shapes = [shape for row in label_rows(job) for shape in row["annotations"]]
    kinds = [shape["type"] for shape in shapes]
    counts = result.counts["all"]
    assert result.classes == ["car", "truck", "road", "sign", "wheel"]
    assert dict(counts.omitted_items) == {"COCO cannot hold this ellipse": kinds.count("ellipse")}
    assert kinds.count("ellipse") > 0
    assert counts.items == len(truth.anns) == len(shapes) - kinds.count("ellipse")
    assert sum("keypoints" in annotation for annotation in truth.anns.values()) == kinds.count("point")
    polygons = [annotation for annotation in truth.anns.values() if annotation.get("segmentation")]
    assert len(polygons) == kinds.count("polygon")
    for annotation in polygons:
        area = truth.annToMask(annotation).sum()
        assert area == pytest.approx(annotation["area"], rel=0.2, abs=60)


def test_picture_without_a_size_is_left_out_and_counted(tmp_path: Path, media: MediaServer) -> None:
    job = labeled_job(tmp_path, media, BOXES, rows=3, attachments={"check": "off"})
    counts = export_labels(job, "coco", str(tmp_path / "coco")).counts["all"]
    assert (counts.labels, counts.rows, sum(counts.omitted_rows.values())) == (3, 0, 3)
    assert "attachments.check was off" in next(iter(counts.omitted_rows))


def test_label_that_was_not_parsed_and_box_without_a_side_are_left_out_and_counted(tmp_path: Path, boxes: Job) -> None:
    [part] = Path(boxes.output, "labels").glob("*.parquet")
    table = pq.read_table(part)
    rows = table.to_pylist()
    box = {"left": 1.0, "top": 2.0, "width": 3.0, "height": None, "label": "car"}
    rows[0]["annotations"], rows[1]["annotations"], rows[2]["annotations"] = None, [box], []
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), part)
    counts = export_labels(boxes, "coco", str(tmp_path / "coco")).counts["all"]
    assert (counts.labels, counts.rows) == (ROWS, ROWS - 1)
    assert [reason.split(" (")[0] for reason in counts.omitted_rows] == [
        "its response does not have the documented form"
    ]
    assert dict(counts.omitted_items) == {"COCO cannot hold this shape": 1}
    assert len(load_coco(tmp_path / "coco" / "instances.json").imgs) == ROWS - 1


def test_csv_has_a_line_for_each_box_and_for_each_label_without_one(tmp_path: Path, boxes: Job) -> None:
    result = export_labels(boxes, "csv", str(tmp_path / "csv"))
    lines = pd.read_csv(tmp_path / "csv" / "labels.csv", keep_default_na=False)
    expected = [
        (row["row_id"], box["label"], box["left"]) for row in label_rows(boxes) for box in row["annotations"] or [None]
    ]
    found = zip(lines["row_id"], lines["annotations.label"], map(float, lines["annotations.left"]), strict=True)
    assert list(found) == expected
    assert set(lines["source.camera"]) == {"c0", "c1", "c2"}
    assert result.counts["all"].items == len(expected)
    count = duckdb.connect().execute(f"select count(distinct row_id) from '{tmp_path}/csv/labels.csv'").fetchall()
    assert count == [(ROWS,)]


def test_jsonl_has_the_lines_with_their_types(tmp_path: Path, media: MediaServer) -> None:
    job = labeled_job(tmp_path, media, SHAPES, rows=5)
    export_labels(job, "jsonl", str(tmp_path / "jsonl"))
    lines = [json.loads(line) for line in (tmp_path / "jsonl" / "labels.jsonl").read_text().splitlines()]
    shapes = [shape for row in label_rows(job) for shape in row["annotations"]]
    assert [line["annotations.type"] for line in lines if "annotations.type" in line] == [s["type"] for s in shapes]
    polygon = next(line for line in lines if line.get("annotations.type") == "polygon")
    assert {"x", "y"} == set(json.loads(polygon["annotations.vertices"])[0])


def test_categories_are_lines_and_other_types_have_one_line(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text('{"id": "a", "text": "x"}\n{"id": "b", "text": "y"}\n')
    with running_in_process() as url:
        job = make_job(tmp_path, scale__url=url)
        label(job)
    export_labels(job, "csv", str(tmp_path / "csv"))
    lines = pd.read_csv(tmp_path / "csv" / "labels.csv")
    assert list(lines["category"]) == [name for row in label_rows(job) for name in row["category"]]


def parts(folder: Path, names: Sequence[str]) -> dict[str, set[str]]:
    return {name: set(pd.read_csv(folder / f"{name}.csv")["row_id"]) for name in names}


def test_split_moves_no_row_when_rows_are_added_and_keeps_groups_together(tmp_path: Path, media: MediaServer) -> None:
    split, names = "train=60,val=20,test=20", ("train", "val", "test")
    before = parts(_split(labeled_job(tmp_path, media, BOXES, rows=40), tmp_path / "a", split), names)
    job = labeled_job(tmp_path, media, BOXES, rows=60, output=str(tmp_path / "more"))
    after = parts(_split(job, tmp_path / "b", split), names)
    assert sum(map(len, after.values())) == 60
    assert all(before[name] <= after[name] for name in names)
    grouped = _split(job, tmp_path / "c", split, "camera")
    cameras = [set(pd.read_csv(grouped / f"{name}.csv")["source.camera"]) for name in names]
    assert sum(map(len, cameras)) == len(set().union(*cameras)) == 3


def _split(job: Job, dest: Path, split: str, group_by: str | None = None) -> Path:
    export_labels(job, "csv", str(dest), split=split, group_by=group_by)
    return dest


def test_same_labels_give_the_same_bytes(tmp_path: Path, boxes: Job) -> None:
    for to, name in (("coco", "instances.json"), ("csv", "labels.csv"), ("jsonl", "labels.jsonl")):
        for number in (1, 2):
            export_labels(boxes, to, str(tmp_path / f"{to}{number}"))
        assert (tmp_path / f"{to}1" / name).read_bytes() == (tmp_path / f"{to}2" / name).read_bytes()


def test_export_that_was_interrupted_is_not_marked_complete_and_can_be_repeated(
    tmp_path: Path, boxes: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    dest = tmp_path / "coco"
    with monkeypatch.context() as patch:
        patch.setattr("labelflow.operations.export._place", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            export_labels(boxes, "coco", str(dest))
    assert not (dest / "instances.json").exists()
    assert json.loads((dest / MANIFEST).read_text())["complete"] is False
    export_labels(boxes, "coco", str(dest))
    assert json.loads((dest / MANIFEST).read_text())["complete"] is True


def test_classes_keep_their_ids_in_a_later_export(tmp_path: Path, boxes: Job) -> None:
    dest = str(tmp_path / "coco")
    assert export_labels(boxes, "coco", dest).classes == ["car", "truck", "tram"]
    changed = boxes.model_copy(update={"task": {**boxes.task, "objects_to_annotate": ["bus", "car"]}})
    assert export_labels(changed, "coco", dest).classes == ["car", "truck", "tram", "bus"]
    assert (tmp_path / "coco" / CLASSES).read_text() == "car\ntruck\ntram\nbus\n"
    with pytest.raises(InvalidInput, match="the folder has the classes car, truck, tram, bus; begin with them"):
        export_labels(boxes, "coco", dest, classes=["truck", "car"])
    only: Export = export_labels(boxes, "coco", str(tmp_path / "other"), classes=["truck"])
    reasons = list(only.counts["all"].omitted_items)
    assert reasons
    assert all(reason.endswith("is not one of the classes") for reason in reasons)


def test_export_from_and_to_s3(tmp_path: Path, media: MediaServer, bucket: Bucket) -> None:
    job = labeled_job(tmp_path, media, BOXES, output=bucket.uri("out"))
    result = export_labels(job, "csv", bucket.uri("exports/csv"))
    assert (result.files, result.counts["all"].rows) == (["labels.csv"], ROWS)
    with pytest.raises(InvalidInput, match="holds the export of job job to csv; use another folder"):
        export_labels(job, "jsonl", bucket.uri("exports/csv"))


def test_bad_requests_get_one_message(tmp_path: Path, boxes: Job) -> None:
    dest = str(tmp_path / "new")
    with pytest.raises(InvalidInput, match=r"--to: got 'yaml'; use one of coco, csv, jsonl"):
        export_labels(boxes, "yaml", dest)
    text = boxes.model_copy(update={"task": {"type": "categorization"}})
    with pytest.raises(InvalidInput, match="coco cannot hold the labels of a categorization job; use one of csv"):
        export_labels(text, "coco", dest)
    with pytest.raises(InvalidInput, match="labels do not carry the column 'place'; use one of id, camera"):
        export_labels(boxes, "csv", dest, group_by="place")
    with pytest.raises(InvalidInput, match="holds other files; use a new or empty folder"):
        export_labels(boxes, "csv", str(tmp_path))
    with pytest.raises(InvalidInput, match="holds no labels"):
        export_labels(boxes.model_copy(update={"output": str(tmp_path / "none")}), "csv", dest)
    for split in ("train=80", "train=a,val=b", "train=50,train=50", "train", "a b=100"):
        with pytest.raises(InvalidInput, match="write names and percentages that add up to 100"):
            Split.parse(split)
    assert not (tmp_path / "new").exists()


def test_classes_of_nested_labels_are_the_leaves(tmp_path: Path) -> None:
    assert job_classes(make_job(tmp_path, task=SHAPES)) == ["car", "truck", "road", "sign", "wheel"]
