"""Files of stored callbacks that another program has written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa

from labelflow.callbacks.stored_callbacks import CALLBACKS
from tests.support.commands import ROOT

SCRIPT = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
from labelflow.callbacks.stored_callbacks import read_stored
from labelflow.errors import RunAborted
from labelflow.storage.opening import open_folder
try:
    list(read_stored(open_folder(sys.argv[1]), sys.argv[2]))
except RunAborted as error:
    print(error)
"""


def test_planted_file_that_expands_to_gigabytes_is_refused(tmp_path: Path) -> None:
    name = f"{CALLBACKS}planted.jsonl.zst"
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    with pa.CompressedOutputStream(str(path), "zstd") as stream:
        for _ in range(4 << 10):
            stream.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{tmp_path}/{name} is corrupt; restore or remove it\n", done.stderr
