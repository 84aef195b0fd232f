"""Run a command of labelflow in this process, from its first import to its exit status:

    python -m benchmarks.product.command --rows N [--submitted OUTPUT] flows.NAME ARGUMENT...

`seconds` is the time of the whole command. With `--submitted` it is the time of the submission, from the manifest's
first row to the last task in the ledger, as written to summary.json of that output folder.
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
    """Run a command; returns its seconds. Exits if it fails."""
    sys.argv = [module, *arguments]
    started_at = time.monotonic()
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        if error.code:
            raise
    return time.monotonic() - started_at


def main() -> None:
    """Run the command and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, required=True, metavar="N")
    parser.add_argument("--submitted", type=Path, metavar="OUTPUT")
    parser.add_argument("module")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    seconds = run_command(options.module, options.arguments)
    if options.submitted:
        summary = json.loads((options.submitted / "summary.json").read_text())
        if summary["created"] != options.rows:
            sys.exit(f"{summary['created']} tasks were created, not {options.rows}")
        seconds = summary["seconds"]["submit"]
    report(options.rows, seconds)


if __name__ == "__main__":
    main()
