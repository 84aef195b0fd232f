"""What the commands share: environment, messages, exit status. Imports no Prefect."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

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
    """Load a `.env` file, register `block:` secrets, and set Prefect's log level. What is set already stays."""
    from dotenv import find_dotenv, load_dotenv

    from labelflow.errors import UsageError
    from labelflow.jobs.prefect_blocks import register_block_resolvers

    register_block_resolvers()
    path = find_dotenv(usecwd=True)
    try:
        load_dotenv(path)
    except UnicodeDecodeError:
        raise UsageError(path, "is not UTF-8 text", "save it as UTF-8") from None
    for name, value in QUIET_PREFECT.items():
        os.environ.setdefault(name, value)
    if not os.environ.get("PREFECT_API_URL"):
        os.environ.setdefault("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "true")


@contextmanager
def exit_status() -> Iterator[None]:
    """Turn an exception that ends a run into one message and an exit status; see `labelflow.errors`."""
    from labelflow.cli.signals import command_line, signals
    from labelflow.errors import LabelflowError, StopRequested
    from labelflow.scale.errors import ScaleError

    recorded = "Created tasks are recorded"
    try:
        yield
    except StopRequested:
        exit_with(f"Stopped. {recorded}; to continue, run: {command_line()}", signals.status)
    except LabelflowError as error:
        exit_with(str(error), error.exit_status)
    except ScaleError as error:
        exit_with(f"Scale API: {error.message}. {recorded}; to continue, run: {command_line()}", 1)
    except Exception as error:
        if signals.received:  # the signal may have ended Prefect's server before the flow finished
            exit_with(f"Stopped. {recorded}; to continue, run: {command_line()}", signals.status)
        path = _write_traceback()
        exit_with(f"Internal error: {error!r}. {recorded}. Please report it with the traceback in {path}", 1)


def _write_traceback() -> str:
    """Write the traceback of the current exception to a file. Returns its path."""
    import tempfile
    import traceback

    from labelflow.problems import printable
    from labelflow.redaction import strip_signatures

    with tempfile.NamedTemporaryFile("w", prefix="labelflow-", suffix=".txt", delete=False) as file:
        file.write(printable(strip_signatures(traceback.format_exc())))
    return file.name


def exit_with(message: str, status: int) -> NoReturn:
    """Print a message on stderr, without URL signatures and terminal control characters, and exit."""
    from labelflow.problems import printable
    from labelflow.redaction import strip_signatures

    print(printable(strip_signatures(message)), file=sys.stderr, flush=True)
    sys.exit(status)
