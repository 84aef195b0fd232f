"""Results that are files: where a response has them, and the files of the sandbox."""

from __future__ import annotations

import json
import random
from collections import Counter
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from labelflow.media import Duration, Media
from labelflow.scale.task_types import FakeFile, known_types, place_files, replace_values, task_type
from labelflow.tables.conforming import to_column
from tests.support.examples import examples

EXAMPLES = examples()
WITH_FILES = [name for name, kind in known_types.items() if kind.result_files]


def fake_files(name: str, params: dict[str, Any], media: list[Media], seed: int = 1) -> dict[str, FakeFile]:
    """The files of a fake response by their name."""
    files: dict[str, FakeFile] = {}

    def save(file: FakeFile) -> str:
        assert file.name not in files
        files[file.name] = file
        return f"https://results.example.com/{file.name}"

    response = place_files(task_type(name).fake_response(params, media, random.Random(seed)), save)
    found = task_type(name).find_result_files(response)
    assert sorted(file.url.rpartition("/")[2] for file in found) == sorted(files)
    return files


@pytest.mark.parametrize("name", WITH_FILES)
def test_every_url_of_the_example_is_found_once(name: str) -> None:
    response = EXAMPLES[name]["task_completed"]["response"]
    urls = [file.url for file in task_type(name).find_result_files(response)]
    text = json.dumps(response)
    assert len(set(urls)) == len(urls) == text.count("https://") > 0


@pytest.mark.parametrize("name", WITH_FILES)
def test_columns_have_the_paths_of_the_copies(name: str) -> None:
    tested, response = task_type(name), EXAMPLES[name]["task_completed"]["response"]
    copies = {file.path: f"files/{index}" for index, file in enumerate(tested.find_result_files(response))}
    model = tested.response.model_validate(replace_values(response, copies)).model_dump()
    columns = json.dumps([to_column([model[c.name]], c.type).to_pylist() for c in tested.columns({})])
    assert "https://" not in columns
    assert all(f'"{copy}"' in columns for copy in copies.values())


@pytest.mark.parametrize("name", [name for name in WITH_FILES if name != "segmentannotation"])
def test_location_may_be_the_value_itself(name: str) -> None:
    tested = task_type(name)
    response = {"annotations": "https://results.example.com/a.json"}
    assert [file.path for file in tested.find_result_files(response)] == [("annotations",)]
    assert tested.response.model_validate(response).model_dump()["annotations_file"] == response["annotations"]
    assert tested.find_result_files({"annotations": [{"label": "car"}]}) == []
    with pytest.raises(ValueError, match="annotations"):
        tested.response.model_validate({"annotations": {"frames": []}})


LABELS = ["road", {"choice": "vehicle", "subchoices": ["bus", {"choice": "car", "instance_label": True}]}]


@pytest.mark.parametrize("allow_unlabeled", [True, False])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (64, 48), (301, 20)])
def test_masks_have_the_size_of_the_image_and_agree(width: int, height: int, allow_unlabeled: bool) -> None:
    params = {"labels": LABELS, "allow_unlabeled": allow_unlabeled}
    media = [Media("image", width=width, height=height)]
    for seed in range(10):
        files = fake_files("segmentannotation", params, media, seed)
        images = {name: Image.open(BytesIO(file.content)) for name, file in files.items()}
        assert {image.size for image in images.values()} == {(width, height)}
        indexed = images["combined-indexed.png"]
        assert indexed.mode == "L"
        assert images["combined-extended.png"].getchannel("R").tobytes() == indexed.tobytes()
        response = task_type("segmentannotation").fake_response(params, media, random.Random(seed))
        pixels = Counter(indexed.tobytes())
        assert allow_unlabeled or not pixels[0]
        assert images["unlabeled.png"].histogram()[255] == pixels[0]
        for entry in response["labelMapping"]["car"]:
            assert images[f"segment-{entry['index']}.png"].histogram()[255] == pixels[entry["index"]]
            assert entry["numPixels"] == pixels[entry["index"]]
        assert set(response["labelMapping"]) == set(response["annotations"]["labeled"]) == {"road", "bus", "car"}


def test_segments_have_the_groups_of_their_label() -> None:
    tested, params = task_type("segmentannotation"), {"labels": LABELS}
    response = place_files(tested.fake_response(params, [], random.Random(3)), lambda file: file.name)
    model = tested.response.model_validate(response, context=tested.context(params)).model_dump()
    assert {segment["label"]: segment["parents"] for segment in model["segments"]} == {
        "road": [], "bus": ["vehicle"], "car": ["vehicle"],
    }  # fmt: skip


def test_masks_without_a_mapping_are_read() -> None:
    response = {"annotations": {"labeled": {"road": "a.png", "car": ["b.png", "c.png"]}}}
    segments = task_type("segmentannotation").response.model_validate(response).model_dump()["segments"]
    assert [(segment["label"], segment["index"], segment["mask"]) for segment in segments] == [
        ("road", None, "a.png"), ("car", None, "b.png"), ("car", None, "c.png"),
    ]  # fmt: skip


def test_objects_keep_their_id_and_label_through_the_frames() -> None:
    params = {**EXAMPLES["videoannotation"]["request"], "attachments": ["https://media.example.com/a.jpg"] * 5}
    files = fake_files("videoannotation", params, [Media("image", width=64, height=48)])
    frames = json.loads(files["annotations.json"].content)
    assert len(frames) == 5
    objects = [{shape["uuid"]: shape["label"] for shape in frame["annotations"]} for frame in frames]
    assert objects[0]
    assert all(frame == objects[0] for frame in objects)
    assert all(shape["left"] + shape["width"] <= 64 for frame in frames for shape in frame["annotations"])
    assert [event["label"] for event in json.loads(files["events.json"].content)] == ["lane change"]


def test_video_is_annotated_at_its_frame_rate() -> None:
    request = {**EXAMPLES["videoplaybackannotation"]["request"], "frame_rate": 2, "video_frame_rate": 10}
    files = fake_files("videoplaybackannotation", request, [Media("video", duration=Duration(3))])
    [document] = json.loads(files["annotations.json"].content)
    for track in document["annotations"].values():
        assert (track["label"], track["geometry"]) == ("person", "box")
        assert [frame["timestamp"] for frame in track["frames"]] == [0, 0.5, 1, 1.5, 2, 2.5]
        assert [frame["key"] for frame in track["frames"]] == [0, 5, 10, 15, 20, 25]


def test_cuboids_move_through_the_frames_within_reach() -> None:
    request = EXAMPLES["lidarannotation"]["request"]
    first, second = json.loads(fake_files("lidarannotation", request, [])["annotations.json"].content)
    for before, after in zip(first["cuboids"], second["cuboids"], strict=True):
        assert before["uuid"] == after["uuid"]
        assert before["label"] in ("car", "pedestrian")
        assert abs(after["position"]["x"]) <= 30
