"""A Prefect flow that does nothing: the time of Prefect itself, from the start of the process to its end."""

from __future__ import annotations

if __name__ == "__main__":  # Prefect reads its settings when it is imported
    from labelflow.cli.environment import load_environment

    load_environment()

import time

from prefect import flow

from benchmarks.process_metrics import report


@flow
def empty_flow() -> None:
    """Do nothing."""


if __name__ == "__main__":
    STARTED_AT = time.monotonic()
    empty_flow()
    report(0, time.monotonic() - STARTED_AT)
