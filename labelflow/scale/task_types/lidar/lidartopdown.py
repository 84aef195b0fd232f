"""`lidartopdown`: shapes in a view of lidar frames from above. Source: current API, without the form of the file."""

from __future__ import annotations

import random

from labelflow.media import Media
from labelflow.scale.task_types.shared.attachment_fields import CONTEXT, AttachmentField
from labelflow.scale.task_types.shared.checks import Url
from labelflow.scale.task_types.shared.drawing.fake_shapes import fake_shapes
from labelflow.scale.task_types.shared.drawing.geometries import Geometries
from labelflow.scale.task_types.shared.drawing.random_shapes import image_size
from labelflow.scale.task_types.shared.files.file_response import ANNOTATIONS_FILE, FileResponse, file_columns
from labelflow.scale.task_types.shared.files.lidar import FRAMES, LidarParams
from labelflow.scale.task_types.shared.files.video import json_file
from labelflow.scale.task_types.shared.task_type import Params, ResponseData, TaskType


class LidarTopDownParams(LidarParams):
    """Polygons, lines and points in the view. attachment: an aerial image below it."""

    attachment_fields = (FRAMES, AttachmentField("attachment"), CONTEXT)
    attachment: Url | None = None
    geometries: Geometries | None = None


def _fake_response(params: Params, media: list[Media], rng: random.Random) -> ResponseData:
    shapes = fake_shapes(params, image_size(media), rng)
    return {"annotations": {"url": json_file("annotations.json", [{"annotations": shapes}])}}


TYPE = TaskType("lidartopdown", LidarTopDownParams, FileResponse, file_columns, _fake_response, ANNOTATIONS_FILE)
