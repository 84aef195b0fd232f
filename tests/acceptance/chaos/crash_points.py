"""Deaths at chosen moments: the process kills itself with SIGKILL, as a power cut would, when it comes by a place."""

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
from labelflow.storage import s3
from labelflow.storage.folder import LocalFolder, S3Folder
from labelflow.tables import compaction

_lock = threading.Lock()


def die() -> NoReturn:
    """Now."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("no one survives this")


def arm(where: str, times: int) -> None:
    """Die when this process comes by such a place for the n-th time, counted from 1."""
    PLACES[where](_Countdown(times))


class _Countdown:
    def __init__(self, times: int) -> None:
        self._left = times

    def is_over(self) -> bool:
        with _lock:
            self._left -= 1
            return self._left == 0


def _before(owner: Any, name: str) -> Callable[[_Countdown], None]:
    def arm_it(countdown: _Countdown) -> None:
        original = getattr(owner, name)

        @wraps(original)
        def deadly(*arguments: Any, **options: Any) -> Any:
            if countdown.is_over():
                die()
            return original(*arguments, **options)

        setattr(owner, name, deadly)

    return arm_it


def _after(owner: Any, name: str) -> Callable[[_Countdown], None]:
    def arm_it(countdown: _Countdown) -> None:
        original = getattr(owner, name)

        @wraps(original)
        def deadly(*arguments: Any, **options: Any) -> Any:
            result = original(*arguments, **options)
            if countdown.is_over():
                die()
            return result

        setattr(owner, name, deadly)

    return arm_it


def _half_written(suffix: str) -> Callable[[_Countdown], None]:
    """Half of a file's bytes are on disk, or on their way to S3. Of files with such a suffix only."""

    def arm_it(countdown: _Countdown) -> None:
        to_disk, to_s3 = LocalFolder.write, s3.put_bytes

        def write(folder: LocalFolder, name: str, content: bytes) -> None:
            if name.endswith(suffix) and countdown.is_over():
                with folder._replacing(name) as file:
                    file.write(content[: len(content) // 2])
                    file.flush()
                    die()
            to_disk(folder, name, content)

        def put_bytes(uri: str, data: bytes) -> None:
            if uri.endswith(suffix) and countdown.is_over():
                _send_half(uri, data)
                die()
            to_s3(uri, data)

        LocalFolder.write = write  # type: ignore[method-assign, assignment]
        s3.put_bytes = put_bytes

    return arm_it


def _send_half(uri: str, data: bytes) -> None:
    bucket, key = s3.split_uri(uri)
    address = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    connection.putrequest("PUT", f"/{bucket}/{key}")
    connection.putheader("Content-Length", str(len(data)))
    connection.endheaders(data[: len(data) // 2])


def _in_compaction(countdown: _Countdown) -> None:
    """Between the steps of making files large: whatever is written or removed there."""
    finish = compaction.finish_compaction

    def deadly(folder: Any) -> None:
        if folder.read(compaction.PLAN) is not None:
            for kind in (LocalFolder, S3Folder):
                for step in ("write", "write_file", "move", "delete"):
                    _before(kind, step)(countdown)
        finish(folder)

    compaction.finish_compaction = deadly


PLACES: dict[str, Callable[[_Countdown], None]] = {
    "task-created": _after(ScaleClient, "create_task"),  # the server has it, the ledger has not
    "chunk-created": _before(Ledger, "record"),
    "chunk-recorded": _after(Ledger, "record"),
    "half-written": _half_written(".parquet"),
    "lease-half-written": _half_written(".json"),
    "before-rename": _before(Path, "replace"),
    "after-rename": _after(Path, "replace"),
    "in-compaction": _in_compaction,
    "lease-taken": _after(Lease, "_begin"),
    "lease-renewed": _before(Lease, "_renew"),
}
ON_DISK_ONLY = {"before-rename", "after-rename"}
