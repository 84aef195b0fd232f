"""What a measured process tells of itself: one line of JSON on stdout."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

_PROC_STATUS = Path("/proc/self/status")


def report(rows: int, seconds: float, **more: float) -> None:
    """Print what was done; seconds: of the work itself, without imports and servers that start."""
    reported = {"rows": rows, "seconds": round(seconds, 3), "peak_mb": round(peak_mb(), 1), **more}
    print(json.dumps(reported), flush=True)


def peak_mb() -> float:
    """The most memory that this process has held at once, in millions of bytes.

    Linux counts in ru_maxrss what a parent held when it started the process, too; its VmHWM is the process's own.
    """
    if _PROC_STATUS.exists():
        lines = dict(line.split(":", 1) for line in _PROC_STATUS.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
