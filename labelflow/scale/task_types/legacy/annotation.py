"""`annotation`: bounding boxes of objects in an image. Source: 2017 API, "Creating" and "Responses"."""

from __future__ import annotations

import random
from typing import Annotated, Literal

import pyarrow as pa
from pydantic import BaseModel, Field

from labelflow.media import Media
from labelflow.scale.task_types.shared.checks import Labels, max_items
from labelflow.scale.task_types.shared.drawing import random_shapes
from labelflow.scale.task_types.shared.params import AttachmentParams
from labelflow.scale.task_types.shared.responses import TaskResponse
from labelflow.scale.task_types.shared.task_type import Columns, Params, ResponseData, TaskType


class AnnotationParams(AttachmentParams):
    """At most 6 kinds of objects; minimum sizes in pixels."""

    required = (("attachment",), ("objects_to_annotate",))
    instruction: str | None = None
    attachment_type: Literal["image"] = "image"
    objects_to_annotate: Annotated[Labels, max_items(6, "objects")] | None = None
    with_labels: bool = False
    min_width: Annotated[int, Field(ge=0)] = 0
    min_height: Annotated[int, Field(ge=0)] = 0


class Box(BaseModel):
    """A box in pixels from the image's top left; `label` only with `with_labels`."""

    left: float
    top: float
    width: float
    height: float
    label: str | None = None


class AnnotationResponse(TaskResponse):
    """The boxes; an empty list if the image shows no object."""

    annotations: list[Box]


def _columns(params: Params) -> Columns:
    sides = [(name, pa.float64()) for name in ("left", "top", "width", "height")]
    return [pa.field("annotations", pa.list_(pa.struct([*sides, ("label", pa.string())])))]


def _fake_response(params: Params, media: list[Media], rng: random.Random) -> ResponseData:
    width, height = random_shapes.image_size(media)
    boxes: list[ResponseData] = []
    for _ in range(rng.randint(1, 5)):
        box: ResponseData = {**random_shapes.random_box(width, height, params["min_width"], params["min_height"], rng)}
        if params["with_labels"]:
            box["label"] = rng.choice(params.get("objects_to_annotate") or ["object"])
        boxes.append(box)
    return {"annotations": boxes}


TYPE = TaskType("annotation", AnnotationParams, AnnotationResponse, _columns, _fake_response)
