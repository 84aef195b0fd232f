"""The command line of flows/cancel_dataset.py. Imports no Prefect."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from labelflow.cli.command import exit_status, exit_with, load_environment

if TYPE_CHECKING:
    from labelflow.jobs.job import Job
    from labelflow.operations.cancel import Cancellation


@dataclass(frozen=True, slots=True)
class CancelCommand:
    """A checked command line: the job, and where the ids of the rows are listed."""

    job: Job
    rows: str | None

    def finish(self, flow: Callable[..., Cancellation]) -> NoReturn:
        """Run the flow, print what it did, and leave with the exit status."""
        from labelflow.cli import prefect_server
        from labelflow.cli.display import print_cancellation

        with exit_status():
            prefect_server.start()
            print_cancellation(flow(output=self.job.output, rows=self.rows))
            sys.exit(0)


def prepare_cancel_dataset(arguments: list[str] | None = None) -> CancelCommand:
    """Parse and check everything that can be checked without Prefect; ask, on a terminal."""
    options = _parser().parse_args(arguments)
    from labelflow.cli.signals import signals

    signals.listen()
    with exit_status():
        from contextlib import closing

        from labelflow.jobs.config import is_config, load_job
        from labelflow.ledger.context import open_existing_job
        from labelflow.operations.cancel import read_row_ids
        from labelflow.operations.discovery import find_single_job

        load_environment()
        job = load_job(options.config) if is_config(options.config) else find_single_job(options.config)
        with closing(open_existing_job(job)):
            pass
        if options.rows:
            read_row_ids(options.rows, job.manifest.row_id)
        what = f"the rows in {options.rows}" if options.rows else "everything that is pending"
        if not options.yes and sys.stdin.isatty():
            print(f"{job.name}: cancel {what}? People's work on it is lost. [y/N] ", end="", flush=True)
            if sys.stdin.readline().strip().lower() not in ("y", "yes"):
                exit_with("Nothing was canceled.", 2)
        return CancelCommand(job, options.rows)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.cancel_dataset",
        description="Take back the tasks of a job that people have not done yet.",
        epilog="Safe to repeat.",
    )
    parser.add_argument("config", metavar="CONFIG", help="the job's YAML file, or its output folder (s3:// too)")
    text = "only these rows: a manifest, or a .txt file with the id of a row on each line"
    parser.add_argument("--rows", metavar="FILE", help=text)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    return parser
