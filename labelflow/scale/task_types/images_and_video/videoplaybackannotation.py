"""`videoplaybackannotation`: objects and events in a video that annotators play. Source: current API."""

from __future__ import annotations

import random

from labelflow.media import Media
from labelflow.scale.task_types.shared.attachment_fields import CONTEXT, AttachmentField
from labelflow.scale.task_types.shared.files.file_response import (
    ANNOTATIONS_FILE,
    EVENTS_FILE,
    VideoResponse,
    video_columns,
)
from labelflow.scale.task_types.shared.files.video import VideoParams, fake_files, fake_objects, fake_times
from labelflow.scale.task_types.shared.task_type import Params, ResponseData, TaskType

VIDEO_FRAME_RATE = 30  # frames per second of a video, if the task does not say
VIDEOS = (AttachmentField("attachment", "video"), AttachmentField("attachments[]", "video"))


class VideoPlaybackAnnotationParams(VideoParams):
    """A video (mp4, webm or ogg). frame_rate: annotated frames per second, 1 by default."""

    attachment_fields = (*VIDEOS, CONTEXT)
    required = (("attachment", "attachments"),)


def _fake_response(params: Params, media: list[Media], rng: random.Random) -> ResponseData:
    times, rate = fake_times(params, media), params.get("video_frame_rate") or VIDEO_FRAME_RATE
    tracks = {}
    for shapes in fake_objects(params, media, len(times), rng):
        frames = [
            {"key": round(time * rate), "timestamp": time}
            | {key: value for key, value in shape.items() if key not in ("uuid", "type", "label")}
            for time, shape in zip(times, shapes, strict=True)
        ]
        tracks[shapes[0]["uuid"]] = {"label": shapes[0]["label"], "geometry": shapes[0]["type"], "frames": frames}
    return fake_files([{"annotations": tracks}], params, times, rng)


TYPE = TaskType(
    "videoplaybackannotation",
    VideoPlaybackAnnotationParams,
    VideoResponse,
    video_columns,
    _fake_response,
    result_files=(*ANNOTATIONS_FILE, *EVENTS_FILE),
)
