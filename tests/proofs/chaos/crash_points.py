"""Crash points: the process kills itself with SIGKILL at a chosen place, as in a power failure."""

from __future__ import annotations

import http.client
import os
import signal
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from labelflow.concurrency.lease import Lease
from labelflow.ledger.ledger import Ledger
from labelflow.scale.client import ScaleClient
from labelflow.storage import s3, s3_client
from labelflow.storage.local import LocalFolder
from labelflow.storage.s3_folder import S3Folder
from labelflow.tables import compaction

KILLED = 128 + signal.SIGKILL  # exit status of a process that could not kill itself

_lock = threading.Lock()


def crash() -> NoReturn:
    """Kill this process at once."""
    os.kill(os.getpid(), signal.SIGKILL)
    os._exit(KILLED)  # the first process of a PID namespace cannot kill itself


def arm(point: str, nth: int) -> None:
    """Crash when this process reaches the crash point for the n-th time, from 1."""
    CRASH_POINTS[point](_Countdown(nth))


class _Countdown:
    def __init__(self, count: int) -> None:
        self._remaining = count

    def is_due(self) -> bool:
        with _lock:
            self._remaining -= 1
            return self._remaining == 0


def _crash_before(owner: Any, name: str) -> Callable[[_Countdown], None]:
    def install(countdown: _Countdown) -> None:
        original = getattr(owner, name)

        @wraps(original)
        def wrapper(*arguments: Any, **options: Any) -> Any:
            if countdown.is_due():
                crash()
            return original(*arguments, **options)

        setattr(owner, name, wrapper)

    return install


def _crash_after(owner: Any, name: str) -> Callable[[_Countdown], None]:
    def install(countdown: _Countdown) -> None:
        original = getattr(owner, name)

        @wraps(original)
        def wrapper(*arguments: Any, **options: Any) -> Any:
            result = original(*arguments, **options)
            if countdown.is_due():
                crash()
            return result

        setattr(owner, name, wrapper)

    return install


def _crash_half_written(suffix: str) -> Callable[[_Countdown], None]:
    """Crash when half of a file is on disk, or sent to S3; only for files with this suffix."""

    def install(countdown: _Countdown) -> None:
        to_disk, to_s3 = LocalFolder.write, s3.put_bytes

        def write(folder: LocalFolder, name: str, content: bytes) -> None:
            if name.endswith(suffix) and countdown.is_due():
                with folder._replacing(name) as file:
                    file.write(content[: len(content) // 2])
                    file.flush()
                    crash()
            to_disk(folder, name, content)

        def put_bytes(uri: str, data: bytes) -> None:
            if uri.endswith(suffix) and countdown.is_due():
                _put_half(uri, data)
                crash()
            to_s3(uri, data)

        LocalFolder.write = write  # type: ignore[method-assign, assignment]
        s3.put_bytes = put_bytes

    return install


def _put_half(uri: str, data: bytes) -> None:
    bucket, key = s3_client.split_uri(uri)
    address = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    connection.putrequest("PUT", f"/{bucket}/{key}")
    connection.putheader("Content-Length", str(len(data)))
    connection.endheaders(data[: len(data) // 2])


def _crash_after_claim(countdown: _Countdown) -> None:
    """Crash when the output folder has been claimed for a job, and nothing else is in it."""
    for kind in (LocalFolder, S3Folder):
        _crash_after(kind, "create")(countdown)


def _crash_in_compaction(countdown: _Countdown) -> None:
    """Crash before one of the steps of a compaction: write, move or delete."""
    finish = compaction.finish_compaction

    def wrapper(folder: Any) -> None:
        if folder.read(compaction.PLAN) is not None:
            for kind in (LocalFolder, S3Folder):
                for step in ("write", "write_file", "move", "delete"):
                    _crash_before(kind, step)(countdown)
        finish(folder)

    compaction.finish_compaction = wrapper


CRASH_POINTS: dict[str, Callable[[_Countdown], None]] = {
    "job-claimed": _crash_after_claim,
    "task-created": _crash_after(ScaleClient, "create_task"),  # the server has the task, the ledger does not
    "chunk-created": _crash_before(Ledger, "record"),
    "chunk-recorded": _crash_after(Ledger, "record"),
    "half-written": _crash_half_written(".parquet"),
    "lease-half-written": _crash_half_written(".json"),
    "before-rename": _crash_before(Path, "replace"),
    "after-rename": _crash_after(Path, "replace"),
    "in-compaction": _crash_in_compaction,
    "lease-taken": _crash_after(Lease, "_start"),
    "lease-renewed": _crash_before(Lease, "_renew"),
}
FIRST_RUN_POINTS = {"job-claimed"}  # later runs do not reach them
DISK_ONLY_POINTS = {"before-rename", "after-rename"}
