"""Lidar: parameters that its types share, and a file of cuboids for the sandbox. Source: current API."""

from __future__ import annotations

import random
from typing import Annotated, Any, ClassVar

from pydantic import Field

from labelflow.media import Media
from labelflow.scale.task_types.shared.attachment_fields import CONTEXT, AttachmentField
from labelflow.scale.task_types.shared.checks import Text, Url, not_empty
from labelflow.scale.task_types.shared.drawing.attributes import AnnotationAttribute, fake_attributes
from labelflow.scale.task_types.shared.drawing.fake_shapes import fake_uuid
from labelflow.scale.task_types.shared.drawing.labels import LabelTree, leaves
from labelflow.scale.task_types.shared.files.video import json_file
from labelflow.scale.task_types.shared.params import Alternatives, TaskParams
from labelflow.scale.task_types.shared.task_type import Params, ResponseData

FRAMES = AttachmentField("attachments[]")  # JSON or protobuf, whatever `attachment_type` is called
REACH = 50.0  # meters


class LidarParams(TaskParams):
    """Frames of points, or a completed task that has them (`lidar_task`; `lidar_task_frames` picks some)."""

    attachment_fields: ClassVar[tuple[AttachmentField, ...]] = (FRAMES, CONTEXT)
    required: ClassVar[tuple[Alternatives, ...]] = (("attachments", "lidar_task"),)
    instruction: str | None = None
    attachment_type: str | None = None
    attachments: Annotated[list[Url], not_empty("one frame")] | None = None
    lidar_task: Text | None = None
    lidar_task_frames: Any = None
    labels: LabelTree | None = None
    annotation_attributes: dict[str, AnnotationAttribute] | None = None
    max_distance_meters: Annotated[float, Field(gt=0)] | None = None


def fake_cuboids(params: Params, media: list[Media], rng: random.Random) -> ResponseData:
    """Return a response whose file has cuboids for each frame; an object has one uuid through all frames."""
    reach = min(REACH, params.get("max_distance_meters") or REACH)
    objects = [_fake_cuboid(params, reach, rng) for _ in range(rng.randint(1, 3))]
    frames = [
        {"cuboids": [{**cuboid, "position": _moved(cuboid["position"], index, reach)} for cuboid in objects]}
        for index in range(len(params.get("attachments") or [None]))
    ]
    return {"annotations": {"url": json_file("annotations.json", frames)}}


def _fake_cuboid(params: Params, reach: float, rng: random.Random) -> dict[str, Any]:
    side = reach / 2
    return {
        "uuid": fake_uuid(rng),
        "label": rng.choice(leaves(params.get("labels")) or ["object"]),
        "position": {axis: round(rng.uniform(-side, side), 2) for axis in "xy"} | {"z": round(rng.uniform(0, 2), 2)},
        "dimensions": {axis: round(rng.uniform(0.5, 5), 2) for axis in "xyz"},
        "yaw": round(rng.uniform(-3.14, 3.14), 3),
        "stationary": False,
        "attributes": fake_attributes(params.get("annotation_attributes"), rng),
    }


def _moved(position: dict[str, float], frames: int, reach: float) -> dict[str, float]:
    """Return a position that is moved by 10 cm per frame, within half of the reach."""
    return {**position, "x": round(min(position["x"] + 0.1 * frames, reach / 2), 2)}
