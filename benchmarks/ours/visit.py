"""A visit to a job whose tasks have been answered: pages of tasks in, finished labels/ out.

    python -m benchmarks.ours.visit CONFIG --output FOLDER

It is what flows/collect_responses.py does with a job, without Prefect. `seconds` is all of it: the ledger is
opened, the answers are fetched and written, and the files are made large.
"""

from __future__ import annotations

import argparse
import time
from contextlib import closing

from benchmarks.measuring import tell
from flows import garbage
from labeling.begun import BegunJob
from labeling.config import load_job
from labeling.visiting import visit


def main() -> None:
    """Visit, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", metavar="CONFIG")
    parser.add_argument("--output", metavar="FOLDER")
    given = parser.parse_args()
    job = load_job(given.config, output=given.output)
    garbage.look_seldom()
    begun = time.monotonic()
    with closing(BegunJob(job)) as opened:
        visited = visit(opened)
    tell(visited.labeled, time.monotonic() - begun)


if __name__ == "__main__":
    main()
