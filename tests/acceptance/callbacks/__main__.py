"""make callbacks COUNT=100000 [KILLS=5]"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.acceptance.callbacks.storm import FORGED_CATEGORY, storm


def main() -> int:
    """One storm; prints its figures, 1 where an acknowledged callback was lost or a forged one was believed."""
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.callbacks", description=__doc__)
    parser.add_argument("--count", type=int, default=3000, help="tasks")
    parser.add_argument("--kills", type=int, default=5, help="of the receiver, with -9")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--core", type=int, help="pin the receiver to this core")
    options = parser.parse_args()
    pinned = () if options.core is None else ("taskset", "-c", str(options.core))
    folder = Path(tempfile.mkdtemp(prefix="callbacks-"))
    try:
        tally = storm(folder, options.count, options.kills, options.seed, pinned)
    finally:
        shutil.rmtree(folder)
    labeled = {row["task_id"] for row in tally.labels}
    forged = sum(row["category"] == [FORGED_CATEGORY] for row in tally.labels)
    lost = len(tally.acknowledged - labeled - {""})
    for (what, status), number in sorted(tally.statuses.items()):
        print(f"{number:>9,} {what} answered {status}")
    print(f"{len(labeled):>9,} labeled, {lost} lost, {forged} forged, {len(tally.labels) - len(labeled)} twice")
    print(f"{tally.rate:>9,.0f} acknowledged a second, over {tally.seconds:.1f} s and {tally.kills} kills")
    print(f"{tally.stored / tally.cpu_seconds:>9,.0f} acknowledged for each second of the receiver's CPU time")
    return 1 if lost or forged or len(tally.labels) != options.count else 0


if __name__ == "__main__":
    sys.exit(main())
