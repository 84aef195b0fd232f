"""The commands as processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from labelflow.scale.client import ScaleClient

ROOT = Path(__file__).parent.parent.parent
PREFECT_SERVER_MODULE = "prefect.server.api.server"
COMMAND = [sys.executable, "-m", "flows.label_dataset"]


def environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a user with a key and a Prefect home."""
    cleared = ("PREFECT_", "SCALE_", "AWS_", "LABELFLOW_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(cleared)}
    return {**kept, "PREFECT_HOME": str(home), "SCALE_API_KEY": "test_command", **more}


def start_command(*arguments: object, home: Path, command: list[str] = COMMAND, **more: str) -> subprocess.Popen[str]:
    """Start the command."""
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        cwd=ROOT,
        env=environment(home, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def running_command(
    *arguments: object, home: Path, command: list[str] = COMMAND, **more: str
) -> Iterator[subprocess.Popen[str]]:
    """The started command; it is killed at the end of the test."""
    with start_command(*arguments, home=home, command=command, **more) as process:
        try:
            yield process
        finally:
            process.terminate()  # of itself it leaves no server of Prefect's behind
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def run_command(
    *arguments: object, home: Path, command: list[str] = COMMAND, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    with running_command(*arguments, home=home, command=command, **more) as process:
        output, errors = process.communicate(timeout=150)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def wait_until(check: Callable[[], object], seconds: float = 120) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "the condition was not true in time"
        time.sleep(0.05)


def write_manifest(folder: Path, count: int) -> None:
    """A manifest of valid rows."""
    rows = [{"id": f"r{number}", "text": f"text {number}"} for number in range(count)]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def created_rows(url: str, key: str = "test_command") -> list[str]:
    """The row ids of all tasks of an account, one per task."""
    with ScaleClient(key, url) as client:
        return [str(task.metadata["row_id"]) for task in client.list_tasks()]


def prefect_server_pids(home: Path) -> list[int]:
    """The processes of Prefect servers with this home."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            is_server = PREFECT_SERVER_MODULE in (folder / "cmdline").read_text()
            if is_server and f"PREFECT_HOME={home}\0" in (folder / "environ").read_text():
                found.append(int(folder.name))
        except (OSError, UnicodeDecodeError):
            continue
    return found
