"""Open a folder by its path or URI."""

from __future__ import annotations

from pathlib import Path

from labelflow.errors import InvalidInput
from labelflow.storage.folder import Folder
from labelflow.storage.local import LocalFolder
from labelflow.storage.s3_folder import S3Folder


def open_folder(uri: str) -> Folder:
    """Open the folder at a local path or at `s3://bucket/prefix`. It does not have to exist yet.

    Raises ValueError if the URI is neither.
    """
    if uri.startswith("s3://"):
        return S3Folder(uri)
    if "://" in uri:
        raise ValueError("is neither a path nor an s3:// URI; use a path to a folder, or s3://bucket/prefix")
    return LocalFolder(str(Path(uri).expanduser()))


def open_output(uri: str) -> Folder:
    """Open the output folder of a job. Raises InvalidInput if the URI is invalid."""
    try:
        return open_folder(uri)
    except ValueError as error:
        reason, _, fix = str(error).partition("; ")
        raise InvalidInput(f"output {uri}", reason, fix or "correct the job's output") from None
