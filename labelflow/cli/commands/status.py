"""The command `labelflow status`: how jobs stand, from their output folders alone."""

from __future__ import annotations

import argparse

from labelflow.cli.command import Command
from labelflow.cli.exit_status import exit_status, exit_with


def run(options: argparse.Namespace) -> int:
    """Print the status of each job. Returns the exit status: 1 if a job cannot be read, 2 if there is none."""
    with exit_status():
        from labelflow.errors import InvalidInput, LabelflowError
        from labelflow.operations.discovery import find_jobs
        from labelflow.operations.status import read_status

        found = [job for output in options.outputs for job in find_jobs(output, offline=True)]
        if not found:
            fix = "give the output folder of a job, or a folder above it"
            raise InvalidInput(", ".join(options.outputs), "contains no job, neither do its subfolders", fix)
        statuses, failed = [], []
        for job in found:
            try:
                statuses.append(read_status(job.require_job()))
            except LabelflowError as error:
                failed.append(f"{job.name}: {error}")
        if options.json:
            import json

            print(json.dumps([status.as_json() for status in statuses], indent=2))
        else:
            from labelflow.cli.status_table import print_statuses

            print_statuses(statuses)
        if failed:
            exit_with("\n".join(failed), 1)
    return 0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    text = "output folder of a job, or a folder that contains output folders (path or s3://)"
    parser.add_argument("outputs", metavar="OUTPUT", nargs="+", help=text)
    parser.add_argument("--json", action="store_true", help="print a JSON list with an object for each job")


COMMAND = Command(
    name="status",
    program="labelflow status",
    summary="show how jobs stand, from their output folders alone",
    description="Show the counts, the cost, and the next step of each job. Reads the output folders only: it needs "
    "neither a key nor the API.",
    add_arguments=_add_arguments,
)
