"""make callbacks COUNT=100000 [KILLS=5] [SENT=3000] [CORE=1]"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.acceptance.callbacks.delivery import send
from tests.acceptance.callbacks.load import storm


def main() -> int:
    """One storm, then one more that the sandbox sends; prints their figures, 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.callbacks", description=__doc__)
    parser.add_argument("--count", type=int, default=3000, help="tasks of the storm")
    parser.add_argument("--kills", type=int, default=5, help="of the receiver, with -9, in each of the two")
    parser.add_argument("--sent", type=int, default=3000, help="tasks whose callbacks the sandbox sends")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--core", type=int, help="pin the receiver to this core")
    options = parser.parse_args()
    pinned = () if options.core is None else ("taskset", "-c", str(options.core))
    folder = Path(tempfile.mkdtemp(prefix="callbacks-"))
    for name in ("storm", "sent"):
        (folder / name).mkdir()
    try:
        wrong = run_storm(folder / "storm", options.count, options.kills, options.seed, pinned)
        wrong += run_sent(folder / "sent", options.sent, options.kills)
    finally:
        shutil.rmtree(folder)
    for line in wrong:
        print(f"WRONG: {line}")
    return 1 if wrong else 0


def run_storm(folder: Path, count: int, kills: int, seed: int, pinned: tuple[str, ...]) -> list[str]:
    """The promises that were broken."""
    tally = storm(folder, count, kills, seed, pinned)
    for (what, status), number in sorted(tally.statuses.items()):
        print(f"{number:>9,} {what} answered {status}")
    print(f"{len(tally.labels):>9,} labeled, {tally.set_aside:,} files set aside")
    print(f"{tally.rate:>9,.0f} acknowledged a second, over {tally.seconds:.1f} s and {tally.kills} kills")
    print(
        f"{tally.stored / tally.cpu_seconds:>9,.0f} acknowledged for each second of the receiver's CPU time", flush=True
    )
    return tally.wrong


def run_sent(folder: Path, count: int, kills: int) -> list[str]:
    """The same, where the sandbox sends."""
    sent = send(folder, count, kills, seconds=max(12.0, count / 150))
    print(f"{len(sent.succeeded):>9,} of {count:,} callbacks of the sandbox succeeded, over {sent.kills} kills")
    print(f"{len(sent.labeled):>9,} of them labeled")
    return [*sent.wrong, *([] if len(sent.labeled) == count else [f"{count - len(sent.labeled):,} not labeled"])]


if __name__ == "__main__":
    sys.exit(main())
