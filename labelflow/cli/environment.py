"""The environment of a command: `.env`, `block:` secrets, Prefect's settings. Imports no Prefect."""

from __future__ import annotations

import os

QUIET_PREFECT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",  # `exit_status` reports what ends a run, once
    "PREFECT_LOGGING_SERVER_LEVEL": "CRITICAL",
}


def load_environment() -> None:
    """Load `.env` of the current folder, register `block:` secrets, and set Prefect's log level. What is set stays.

    Raises InvalidInput if `.env` is not UTF-8.
    """
    from labelflow.jobs.credentials import dotenv
    from labelflow.jobs.credentials.prefect_blocks import register_block_resolvers

    register_block_resolvers()
    dotenv.load()
    for name, value in QUIET_PREFECT.items():
        os.environ.setdefault(name, value)
    if not os.environ.get("PREFECT_API_URL"):
        os.environ.setdefault("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "true")
