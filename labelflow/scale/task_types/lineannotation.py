"""`lineannotation`: lines along objects in an image. Source: contract A "Creating" and "Responses"."""

from __future__ import annotations

import random
from typing import Annotated, Literal

from labelflow.media import Media
from labelflow.scale.task_types import drawing
from labelflow.scale.task_types.base import Answer, Labels, Params, TaskType, WithAttachment, at_most


class LineAnnotationParams(WithAttachment):
    """At most 3 kinds of objects; `splines` asks for curves instead of straight pieces."""

    instruction: str | None = None
    attachment_type: Literal["image"] = "image"
    objects_to_annotate: Annotated[Labels, at_most(3, "objects")]
    with_labels: bool = False
    splines: bool = False


def _imagine(params: Params, media: list[Media], rng: random.Random) -> Answer:
    return drawing.shapes(params, media, rng, drawing.line)


TYPE = TaskType("lineannotation", LineAnnotationParams, drawing.VerticesResponse, drawing.vertices_columns, _imagine)
