"""make callbacks COUNT=100000 [KILLS=5] [SENT=3000] [CORE=1]"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.proofs.callbacks.delivery import run_delivery_test
from tests.proofs.callbacks.load import run_load_test


def main() -> int:
    """One storm, then one more that the sandbox sends; prints their figures, 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.proofs.callbacks", description=__doc__)
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
        wrong = run_load(folder / "storm", options.count, options.kills, options.seed, pinned)
        wrong += run_delivery(folder / "sent", options.sent, options.kills)
    finally:
        shutil.rmtree(folder)
    for line in wrong:
        print(f"WRONG: {line}")
    return 1 if wrong else 0


def run_load(folder: Path, count: int, kills: int, seed: int, prefix: tuple[str, ...]) -> list[str]:
    """The promises that were broken."""
    result = run_load_test(folder, count, kills, seed, prefix)
    for (what, status), number in sorted(result.statuses.items()):
        print(f"{number:>9,} {what} answered {status}")
    print(f"{len(result.labels):>9,} labeled, {result.unrouted:,} files set aside")
    print(f"{result.rate:>9,.0f} acknowledged a second, over {result.seconds:.1f} s and {result.kills} kills")
    print(
        f"{result.acknowledged_count / result.cpu_seconds:>9,.0f} acknowledged per second of CPU time",
        flush=True,
    )
    return result.violations


def run_delivery(folder: Path, count: int, kills: int) -> list[str]:
    """The same, where the sandbox sends."""
    result = run_delivery_test(folder, count, kills, seconds=max(12.0, count / 150))
    print(f"{len(result.succeeded):>9,} of {count:,} callbacks of the sandbox succeeded, over {result.kills} kills")
    print(f"{len(result.labeled):>9,} of them labeled")
    return [
        *result.violations,
        *([] if len(result.labeled) == count else [f"{count - len(result.labeled):,} not labeled"]),
    ]


if __name__ == "__main__":
    sys.exit(main())
