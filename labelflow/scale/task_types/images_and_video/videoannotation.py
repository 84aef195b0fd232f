"""`videoannotation`: shapes around objects in each frame of a video. Source: current API."""

from __future__ import annotations

import random
from typing import Literal, Self

from pydantic import model_validator

from labelflow.media import Media
from labelflow.problems import validation_error
from labelflow.scale.task_types.shared.attachment_fields import CONTEXT, AttachmentField
from labelflow.scale.task_types.shared.files.file_response import (
    ANNOTATIONS_FILE,
    EVENTS_FILE,
    VideoResponse,
    video_columns,
)
from labelflow.scale.task_types.shared.files.video import VideoParams, fake_files, fake_objects, fake_times
from labelflow.scale.task_types.shared.task_type import Params, ResponseData, TaskType

FRAMES = AttachmentField("attachments[]", "image", kind_key="attachment_type")
VIDEO = AttachmentField("attachment", "video", kind_key="attachment_type")


class VideoAnnotationParams(VideoParams):
    """Frames (`attachments`, of the type image) or a video (`attachment`, of the type video)."""

    attachment_fields = (VIDEO, FRAMES, CONTEXT)
    required = (("attachment", "attachments"), ("geometries",))
    attachment_type: Literal["image", "video"] | None = None

    @model_validator(mode="after")
    def _check_type(self) -> Self:
        if self.attachment_type == "video" and self.attachments is not None:
            raise validation_error(
                "`attachments` are frames, but `attachment_type` is video", "give `attachment`, or use image"
            )
        if self.attachment_type == "image" and self.attachment is not None:
            raise validation_error(
                "`attachment` is a video, but `attachment_type` is image", "give `attachments`, or use video"
            )
        return self


def _fake_response(params: Params, media: list[Media], rng: random.Random) -> ResponseData:
    times = fake_times(params, media)
    objects = fake_objects(params, media, len(times), rng)
    frames = [{"annotations": [shapes[index] for shapes in objects]} for index in range(len(times))]
    return fake_files(frames, params, times, rng)


TYPE = TaskType(
    "videoannotation",
    VideoAnnotationParams,
    VideoResponse,
    video_columns,
    _fake_response,
    result_files=(*ANNOTATIONS_FILE, *EVENTS_FILE),
)
