"""`lidarsegmentation`: labels of the points of lidar frames. Source: current API, without the form of the file."""

from __future__ import annotations

from labelflow.scale.task_types.shared.files.file_response import ANNOTATIONS_FILE, FileResponse, file_columns
from labelflow.scale.task_types.shared.files.lidar import LidarParams, fake_cuboids
from labelflow.scale.task_types.shared.task_type import TaskType

TYPE = TaskType("lidarsegmentation", LidarParams, FileResponse, file_columns, fake_cuboids, ANNOTATIONS_FILE)
