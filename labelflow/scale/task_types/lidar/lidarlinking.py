"""`lidarlinking`: which objects of two lidar tasks are the same. Source: current API."""

from __future__ import annotations

from labelflow.scale.task_types.shared.files.file_response import ANNOTATIONS_FILE, FileResponse, file_columns
from labelflow.scale.task_types.shared.files.lidar import LidarParams, fake_cuboids
from labelflow.scale.task_types.shared.task_type import TaskType

TYPE = TaskType("lidarlinking", LidarParams, FileResponse, file_columns, fake_cuboids, ANNOTATIONS_FILE)
