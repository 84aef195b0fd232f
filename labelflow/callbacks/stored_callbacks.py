"""Acknowledged callbacks: files in the output folder, until a pass collects them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence

import pyarrow as pa

from labelflow.callbacks.callback import Callback, InvalidCallback, parse_callback
from labelflow.errors import RunAborted
from labelflow.storage.folder import MAX_READ_BYTES, Folder

CALLBACKS = "_ledger/callbacks/"
UNROUTED = "_ledger/callbacks-set-aside/"  # callbacks whose task belongs to none of the receiver's jobs


def append(folder: Folder, prefix: str, lines: Sequence[bytes]) -> None:
    """Write callbacks as one file. They are durable on return. Raises StorageError."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(b"\n".join(lines))
    folder.write(f"{prefix}{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.jsonl.zst", sink.getvalue().to_pybytes())


def read_stored(folder: Folder, name: str) -> Iterator[Callback]:
    """Yield the callbacks of one file; none if it does not exist. Raises RunAborted if it is corrupt."""
    content = folder.read(name)
    if content is None:
        return
    try:
        text = pa.CompressedInputStream(pa.BufferReader(content), "zstd").read(MAX_READ_BYTES)
        yield from [parse_callback(line) for line in text.split(b"\n")]
    except (pa.ArrowException, OSError, InvalidCallback):
        raise RunAborted(f"{folder.uri}/{name} is corrupt; restore or remove it") from None
