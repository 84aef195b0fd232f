"""`lidarannotation`: cuboids around objects in lidar frames. Source: current API."""

from __future__ import annotations

from labelflow.scale.task_types.shared.files.file_response import ANNOTATIONS_FILE, FileResponse, file_columns
from labelflow.scale.task_types.shared.files.lidar import LidarParams, fake_cuboids
from labelflow.scale.task_types.shared.task_type import TaskType


class LidarAnnotationParams(LidarParams):
    """The frames, and the labels of the cuboids. Frames are JSON by default."""

    required = (("attachments",), ("labels",))
    attachment_type: str = "json"


TYPE = TaskType("lidarannotation", LidarAnnotationParams, FileResponse, file_columns, fake_cuboids, ANNOTATIONS_FILE)
