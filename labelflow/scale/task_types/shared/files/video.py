"""Videos: their parameters, and files of objects through frames for the sandbox. Source: current API."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Annotated, Any, Self

import orjson
from pydantic import Field, model_validator

from labelflow.media import Media
from labelflow.problems import validation_error
from labelflow.scale.task_types.shared.checks import Text, Url, not_empty
from labelflow.scale.task_types.shared.drawing.attributes import AnnotationAttribute
from labelflow.scale.task_types.shared.drawing.fake_shapes import fake_shape
from labelflow.scale.task_types.shared.drawing.geometries import Geometries
from labelflow.scale.task_types.shared.drawing.random_shapes import image_size
from labelflow.scale.task_types.shared.files.result_files import FakeFile
from labelflow.scale.task_types.shared.params import TaskParams
from labelflow.scale.task_types.shared.task_type import Params

FALLBACK_SECONDS = 4.0  # length of a video that the sandbox could not measure
MAX_FRAMES = 200  # in a fake file
Rate = Annotated[float, Field(gt=0)]  # frames per second
Objects = list[list[dict[str, Any]]]  # the shape of each object in each frame


class VideoParams(TaskParams):
    """A video, or its frames; what is drawn in it, and which events are marked."""

    instruction: str | None = None
    attachment: Url | None = None
    attachments: Annotated[list[Url], not_empty("one frame")] | None = None
    geometries: Geometries | None = None
    annotation_attributes: dict[str, AnnotationAttribute] | None = None
    events_to_annotate: list[Text] | None = None
    frame_rate: Rate | None = None
    annotation_frame_rate: Rate | None = None
    video_frame_rate: Rate | None = None
    links: Any = None

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if self.attachment is not None and self.attachments is not None:
            raise validation_error("`attachment` and `attachments` are both given", "give the video or its frames")
        return self


def fake_times(params: Params, media: list[Media]) -> list[float]:
    """Return the times of the annotated frames in seconds: one per attached frame, or `frame_rate` per second."""
    rate = params.get("annotation_frame_rate") or params.get("frame_rate") or 1.0
    if params.get("attachments"):
        count = len(params["attachments"])
    else:
        count = int(((media[0].seconds if media else None) or FALLBACK_SECONDS) * rate)
    return [round(index / rate, 3) for index in range(max(1, min(count, MAX_FRAMES)))]


def fake_objects(params: Params, media: list[Media], frames: int, rng: random.Random) -> Objects:
    """Return one or two objects of each geometry; an object has one uuid and one label through all frames."""
    attributes, size = params.get("annotation_attributes"), image_size(media)
    objects = []
    for kind, geometry in (params.get("geometries") or {}).items():
        for _ in range(rng.randint(1, 2) if isinstance(geometry, Mapping) else 0):
            shapes = [fake_shape(kind, geometry, attributes, size, rng) for _ in range(frames)]
            identity = {"uuid": shapes[0]["uuid"], "label": shapes[0]["label"]}
            objects.append([{**shape, **identity} for shape in shapes])
    return objects


def fake_files(annotations: Any, params: Params, times: list[float], rng: random.Random) -> dict[str, Any]:
    """Return a response with the annotations in a file, and a file of events if the task asks for them."""
    response = {"annotations": {"url": json_file("annotations.json", annotations)}}
    if labels := params.get("events_to_annotate"):
        events = [{"label": label, "start": min(times), "end": rng.choice(times)} for label in labels]
        response["events"] = {"url": json_file("events.json", events)}
    return response


def json_file(name: str, content: Any) -> FakeFile:
    """Return a fake result file with JSON."""
    return FakeFile(name, orjson.dumps(content), "application/json")
