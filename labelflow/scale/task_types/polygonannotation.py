"""`polygonannotation`: outlines of objects in an image. Source: contract A "Creating" and "Responses"."""

from __future__ import annotations

import random
from typing import Annotated, Literal

from labelflow.media import Media
from labelflow.scale.task_types import drawing
from labelflow.scale.task_types.base import Answer, Labels, Params, TaskType, WithAttachment, at_most


class PolygonAnnotationParams(WithAttachment):
    """At most 6 kinds of objects."""

    instruction: str | None = None
    attachment_type: Literal["image"] = "image"
    objects_to_annotate: Annotated[Labels, at_most(6, "objects")]
    with_labels: bool = False


def _imagine(params: Params, media: list[Media], rng: random.Random) -> Answer:
    return drawing.shapes(params, media, rng, drawing.polygon)


TYPE = TaskType(
    "polygonannotation", PolygonAnnotationParams, drawing.VerticesResponse, drawing.vertices_columns, _imagine
)
