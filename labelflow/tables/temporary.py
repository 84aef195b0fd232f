"""Temporary folders on the local disk. Those of processes that were killed are removed by later ones."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from labelflow.errors import StorageError

PREFIX, LOCK = "labelflow-", ".lock"
MIN_AGE = 60.0  # seconds; a younger folder may not have its lock yet


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """A local folder, removed at the end. A failure to write to it becomes a StorageError."""
    try:
        _remove_abandoned(Path(tempfile.gettempdir()))
        with tempfile.TemporaryDirectory(prefix=PREFIX) as name, (Path(name) / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel releases it when the process ends, however it ends
            yield Path(name)
    except OSError as error:
        reason = error.strerror or error
        raise StorageError(f"{tempfile.gettempdir()}: {reason}; free disk space there, or set TMPDIR") from None


def _remove_abandoned(parent: Path) -> None:
    """Remove the folders that no process holds, in this container or another one."""
    for folder in parent.glob(f"{PREFIX}*/"):
        with suppress(OSError):  # a folder of another user, or one that is removed at this moment
            if time.time() - folder.stat().st_mtime > MIN_AGE and _is_abandoned(folder):
                shutil.rmtree(folder)


def _is_abandoned(folder: Path) -> bool:
    with (folder / LOCK).open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
