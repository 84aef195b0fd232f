"""The command line of flows/cancel_dataset.py. Imports no Prefect."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from labelflow.cli.command import Command
from labelflow.cli.environment import load_environment
from labelflow.cli.exit_status import exit_status, exit_with

if TYPE_CHECKING:
    from labelflow.jobs.job import Job
    from labelflow.operations.cancel import Cancellation


@dataclass(frozen=True, slots=True)
class CancelCommand:
    """A validated command line: the job's output, the file that lists row ids, and the job if its config was given."""

    output: str
    rows: str | None
    job: Job | None

    def finish(self, flow: Callable[..., Cancellation]) -> NoReturn:
        """Run the flow, print its result, and exit with the exit status."""
        from labelflow.cli import temporary_prefect_server
        from labelflow.cli.display import print_cancellation

        with exit_status():
            temporary_prefect_server.start()
            print_cancellation(flow(output=self.output, rows=self.rows, job=self.job))
            sys.exit(0)


def prepare_cancel_dataset(options: argparse.Namespace | None = None) -> CancelCommand:
    """Parse and validate whatever needs no Prefect. On a terminal, ask for confirmation."""
    options = options or COMMAND.parse()
    from labelflow.cli.signals import signals

    signals.listen()
    with exit_status():
        from contextlib import closing

        from labelflow.cli.display import print_connections
        from labelflow.jobs.config import is_config, load_job
        from labelflow.ledger.context import open_existing_job
        from labelflow.operations.discovery import find_single_job
        from labelflow.planning.relabel.row_ids_file import read_row_ids
        from labelflow.problems import printable

        load_environment()
        job = load_job(options.config) if is_config(options.config) else find_single_job(options.config)
        with closing(open_existing_job(job)):
            pass
        print_connections([job])
        if options.rows:
            read_row_ids(options.rows, job.manifest.row_id)
        tasks = f"the pending tasks of the rows in {options.rows}" if options.rows else "all pending tasks"
        if not options.yes and not sys.stdin.isatty():
            exit_with(f"{job.name}: --yes is required where nobody can be asked. Nothing was canceled.", 2)
        if not options.yes:
            print(
                printable(f"{job.name}: cancel {tasks}? Work that annotators have started is lost. [y/N] "),
                end="",
                flush=True,
            )
            if sys.stdin.readline().strip().lower() not in ("y", "yes"):
                exit_with("Nothing was canceled.", 2)
        return CancelCommand(job.output, options.rows, job if is_config(options.config) else None)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "config", metavar="CONFIG|OUTPUT", help="the job's YAML file, or its output folder (path or s3://)"
    )
    text = "cancel only these rows: a manifest, or a .txt file with one row id per line"
    parser.add_argument("--rows", metavar="FILE", help=text)
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")


COMMAND = Command(
    name="cancel",
    program="python -m flows.cancel_dataset",
    summary="cancel the pending tasks of a job",
    description="Cancel the pending tasks of a job: all of them, or those of some rows.",
    epilog="Safe to repeat. Finished tasks keep their answers.",
    add_arguments=_add_arguments,
)
