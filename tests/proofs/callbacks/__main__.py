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
    """Run the load test and the delivery test, print their figures; returns 1 if there is a violation."""
    parser = argparse.ArgumentParser(prog="python -m tests.proofs.callbacks", description=__doc__)
    parser.add_argument("--count", type=int, default=3000, help="tasks of the load test")
    parser.add_argument(
        "--kills", type=int, default=5, help="kills of the receiver (SIGKILL), in each of the two tests"
    )
    parser.add_argument("--sent", type=int, default=3000, help="tasks whose callbacks the sandbox sends")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--core", type=int, help="pin the receiver to this core")
    options = parser.parse_args()
    pinned = () if options.core is None else ("taskset", "-c", str(options.core))
    folder = Path(tempfile.mkdtemp(prefix="callbacks-"))
    for name in ("load", "delivery"):
        (folder / name).mkdir()
    try:
        violations = run_load(folder / "load", options.count, options.kills, options.seed, pinned)
        violations += run_delivery(folder / "delivery", options.sent, options.kills)
    finally:
        shutil.rmtree(folder)
    for line in violations:
        print(f"WRONG: {line}")
    return 1 if violations else 0


def run_load(folder: Path, count: int, kills: int, seed: int, prefix: tuple[str, ...]) -> list[str]:
    """Run the load test, print its figures; returns the violations."""
    result = run_load_test(folder, count, kills, seed, prefix)
    for (kind, status), number in sorted(result.statuses.items()):
        print(f"{number:>9,} {kind} answered {status}")
    print(f"{len(result.labels):>9,} labeled, {result.unrouted:,} unrouted files")
    print(f"{result.rate:>9,.0f} acknowledged per second, over {result.seconds:.1f} s and {result.kills} kills")
    print(
        f"{result.acknowledged_count / result.cpu_seconds:>9,.0f} acknowledged per second of CPU time",
        flush=True,
    )
    return result.violations


def run_delivery(folder: Path, count: int, kills: int) -> list[str]:
    """Run the delivery test, print its figures; returns the violations."""
    result = run_delivery_test(folder, count, kills, seconds=max(12.0, count / 150))
    print(f"{len(result.succeeded):>9,} of {count:,} callbacks from the sandbox succeeded, over {result.kills} kills")
    print(f"{len(result.labeled):>9,} of them labeled")
    return [
        *result.violations,
        *([] if len(result.labeled) == count else [f"{count - len(result.labeled):,} not labeled"]),
    ]


if __name__ == "__main__":
    sys.exit(main())
