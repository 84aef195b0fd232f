"""Responses that consist of files: the columns have the paths of their copies. Source: current API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import pyarrow as pa
from pydantic import BeforeValidator, Field

from labelflow.scale.task_types.shared.responses import CurrentResponse
from labelflow.scale.task_types.shared.task_type import Columns, Params

ANNOTATIONS_FILE = ("annotations.url", "annotations")
EVENTS_FILE = ("events.url", "events")


def _location(value: Any) -> Any:
    """Return where a file is, from `{"url": location}` or the location itself."""
    return value.get("url") if isinstance(value, Mapping) else value


FileLocation = Annotated[str, BeforeValidator(_location)]
OptionalFileLocation = Annotated[str | None, BeforeValidator(_location)]


class FileResponse(CurrentResponse):
    """A response with the annotations in a file."""

    annotations_file: FileLocation = Field(validation_alias="annotations")


class VideoResponse(FileResponse):
    """A response with the annotations in a file, and the events in another if the task asks for events."""

    events_file: OptionalFileLocation = Field(default=None, validation_alias="events")


def file_columns(params: Params) -> Columns:
    """Return the Arrow field of a FileResponse: a path, or the URL until the file is fetched."""
    return [pa.field("annotations_file", pa.string())]


def video_columns(params: Params) -> Columns:
    """Return the Arrow fields of a VideoResponse."""
    return [*file_columns(params), pa.field("events_file", pa.string())]
