"""make chaos KILLS=500 COMMAND_KILLS=20 [API=current|2017] [STORE=disk|s3]"""

from __future__ import annotations

import argparse
import sys
import time

from tests.proofs.chaos.scenario import run_scenario

API_VERSIONS, STORES = ("current", "2017"), ("disk", "s3")


def main() -> int:
    """Run the requested combinations and print the counts; returns 1 if there is a violation."""
    parser = argparse.ArgumentParser(prog="python -m tests.proofs.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=30, help="kills of runs without Prefect, in each combination")
    parser.add_argument("--command-kills", type=int, default=2, help="kills of the whole command, in each combination")
    parser.add_argument("--api", choices=API_VERSIONS, action="append")
    parser.add_argument("--store", choices=STORES, action="append")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    options = parser.parse_args()
    clean = True
    for api_version in options.api or API_VERSIONS:
        for store in options.store or STORES:
            report = run_scenario(api_version, store, options.kills, options.command_kills, options.seed)
            print("\n".join(report.to_lines()), flush=True)
            clean = clean and report.is_clean
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
