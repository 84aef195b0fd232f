"""`lineannotation`: lines along objects in an image. Source: 2017 API, "Creating" and "Responses"."""

from __future__ import annotations

import random
from typing import Annotated, Literal

from labelflow.media import Media
from labelflow.scale.task_types.shared import drawing
from labelflow.scale.task_types.shared.base import AttachmentParams, Labels, Params, ResponseData, TaskType, max_items


class LineAnnotationParams(AttachmentParams):
    """At most 3 kinds of objects; `splines` requests curves instead of straight segments."""

    instruction: str | None = None
    attachment_type: Literal["image"] = "image"
    objects_to_annotate: Annotated[Labels, max_items(3, "objects")]
    with_labels: bool = False
    splines: bool = False


def _fake_response(params: Params, media: list[Media], rng: random.Random) -> ResponseData:
    return drawing.fake_shapes(params, media, rng, drawing.random_line)


TYPE = TaskType(
    "lineannotation", LineAnnotationParams, drawing.VerticesResponse, drawing.vertices_columns, _fake_response
)
