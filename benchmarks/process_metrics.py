"""The report of a measured process: one line of JSON on stdout."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

_PROC_STATUS = Path("/proc/self/status")


def report(rows: int, seconds: float, **extra: float) -> None:
    """Print the figures of this process; seconds: of the work itself, without imports and server starts."""
    figures = {"rows": rows, "seconds": round(seconds, 3), "peak_mb": round(peak_mb(), 1), **extra}
    print(json.dumps(figures), flush=True)


def peak_mb() -> float:
    """Peak memory of this process, in millions of bytes.

    On Linux ru_maxrss includes the parent's memory at the time of the fork; VmHWM does not.
    """
    if _PROC_STATUS.exists():
        lines = dict(line.split(":", 1) for line in _PROC_STATUS.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
