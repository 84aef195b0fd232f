"""`lineannotation`: lines along objects in an image. Source: 2017 API, "Creating" and "Responses"."""

from __future__ import annotations

import random
from typing import Annotated, Literal

from labelflow.media import Media
from labelflow.scale.task_types.shared.checks import Labels, max_items
from labelflow.scale.task_types.shared.drawing import random_shapes, vertices
from labelflow.scale.task_types.shared.params import AttachmentParams
from labelflow.scale.task_types.shared.task_type import Params, ResponseData, TaskType


class LineAnnotationParams(AttachmentParams):
    """At most 3 kinds of objects; `splines` requests curves instead of straight segments."""

    required = (("attachment",), ("objects_to_annotate",))
    instruction: str | None = None
    attachment_type: Literal["image"] = "image"
    objects_to_annotate: Annotated[Labels, max_items(3, "objects")] | None = None
    with_labels: bool = False
    splines: bool = False


def _fake_response(params: Params, media: list[Media], rng: random.Random) -> ResponseData:
    return vertices.fake_shapes(params, media, rng, random_shapes.random_line)


TYPE = TaskType(
    "lineannotation", LineAnnotationParams, vertices.VerticesResponse, vertices.vertices_columns, _fake_response
)
