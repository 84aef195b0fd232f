"""One of our commands, from its first import to its exit status, in this process:

    python -m benchmarks.product.command --rows N [--submitted OUTPUT] flows.NAME ARGUMENT...

`seconds` is the time of all that or, of an output folder, that of its submission: from the manifest's first row to the
last task in the ledger, as the run itself has written it to summary.json.
"""

from __future__ import annotations

import argparse
import json
import runpy
import sys
import time
from pathlib import Path

from benchmarks.process_metrics import report


def run_command(module: str, arguments: list[str]) -> float:
    """Run a command; gives its seconds. Exits where it fails."""
    sys.argv = [module, *arguments]
    begun = time.monotonic()
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code:
            raise
    return time.monotonic() - begun


def main() -> None:
    """Run, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, required=True, metavar="N")
    parser.add_argument("--submitted", type=Path, metavar="OUTPUT")
    parser.add_argument("module")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    seconds = run_command(given.module, given.arguments)
    if given.submitted:
        summary = json.loads((given.submitted / "summary.json").read_text())
        if summary["created"] != given.rows:
            sys.exit(f"{summary['created']} tasks were created, not {given.rows}")
        seconds = summary["seconds"]["submit"]
    report(given.rows, seconds)


if __name__ == "__main__":
    main()
