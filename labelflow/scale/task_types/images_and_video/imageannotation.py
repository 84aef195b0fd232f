"""`imageannotation`: shapes around objects in an image. Source: current API."""

from __future__ import annotations

import random
from typing import Any, Literal

import pyarrow as pa

from labelflow.media import Media
from labelflow.scale.task_types.shared.attachment_fields import ATTACHMENT, CONTEXT
from labelflow.scale.task_types.shared.checks import Url
from labelflow.scale.task_types.shared.drawing.attributes import AnnotationAttribute, attributes_type
from labelflow.scale.task_types.shared.drawing.fake_shapes import fake_shapes
from labelflow.scale.task_types.shared.drawing.geometries import Geometries, geometry_labels
from labelflow.scale.task_types.shared.drawing.random_shapes import image_size
from labelflow.scale.task_types.shared.drawing.shapes import Shapes, shape_type
from labelflow.scale.task_types.shared.params import TaskParams
from labelflow.scale.task_types.shared.responses import CurrentResponse
from labelflow.scale.task_types.shared.task_type import Columns, Params, ResponseData, TaskType


class ImageAnnotationParams(TaskParams):
    """What is drawn (`geometries`), and what is asked about each shape.

    links, layers, base_annotations, padding: passed on; their form is not documented.
    """

    attachment_fields = (ATTACHMENT, CONTEXT)
    required = (("attachment",), ("geometries",))
    instruction: str | None = None
    attachment_type: Literal["image"] = "image"
    attachment: Url | None = None
    geometries: Geometries | None = None
    annotation_attributes: dict[str, AnnotationAttribute] | None = None
    links: Any = None
    layers: Any = None
    base_annotations: Any = None
    can_add_base_annotations: Any = None
    can_edit_base_annotations: Any = None
    can_delete_base_annotations: Any = None
    padding: Any = None
    paddingX: Any = None  # noqa: N815  the API's name
    paddingY: Any = None  # noqa: N815


class ImageAnnotationResponse(CurrentResponse):
    """The shapes; an empty list if the image shows no object. global_attributes: of the whole image."""

    annotations: Shapes
    links: list[Any] | None = None
    global_attributes: dict[str, Any] | None = None


def _columns(params: Params) -> Columns:
    return [
        pa.field("annotations", pa.list_(shape_type(params.get("annotation_attributes")))),
        pa.field("links", pa.list_(pa.string())),
        pa.field("global_attributes", attributes_type(None)),
    ]


def _fake_response(params: Params, media: list[Media], rng: random.Random) -> ResponseData:
    return {"annotations": fake_shapes(params, image_size(media), rng), "links": [], "global_attributes": {}}


TYPE = TaskType(
    "imageannotation",
    ImageAnnotationParams,
    ImageAnnotationResponse,
    _columns,
    _fake_response,
    context=geometry_labels,
)
