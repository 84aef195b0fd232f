"""One message and an exit status for each way in which a command ends. Imports no Prefect."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


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
    except ModuleNotFoundError as error:
        exit_with(_missing_package(error), 2)
    except Exception as error:
        if signals.received:  # the signal may have ended Prefect's server before the flow finished
            exit_with(f"Stopped. {recorded}; to continue, run: {command_line()}", signals.status)
        path = _write_traceback()
        exit_with(
            f"Internal error: {error!r}. The next run finds the tasks that this one created, and creates none twice. "
            f"Please report it with the traceback in {path}",
            1,
        )


def _missing_package(error: ModuleNotFoundError) -> str:
    package = (error.name or str(error)).partition(".")[0]
    fix = "activate the environment in which labelflow is installed, or run: pip install -c constraints.txt ."
    return f"{sys.executable} has no package {package}; {fix}"


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
