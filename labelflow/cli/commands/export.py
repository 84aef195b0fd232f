"""The command line of flows/export_labels.py. Imports no Prefect."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from labelflow.cli.command import Command
from labelflow.cli.environment import load_environment
from labelflow.cli.exit_status import exit_status

if TYPE_CHECKING:
    from labelflow.operations.export import Export


@dataclass(frozen=True, slots=True)
class ExportCommand:
    """A parsed command line: the parameters of the flow."""

    output: str
    to: str
    dest: str
    split: str | None
    group_by: str | None
    classes: list[str] | None

    def finish(self, flow: Callable[..., Export]) -> NoReturn:
        """Run the flow, print what it wrote, and exit with the exit status."""
        from labelflow.cli import temporary_prefect_server
        from labelflow.cli.display import print_export

        with exit_status():
            temporary_prefect_server.start()
            result = flow(
                output=self.output,
                to=self.to,
                dest=self.dest,
                split=self.split,
                group_by=self.group_by,
                classes=self.classes,
            )
            print_export(result)
            sys.exit(0)


def prepare_export_labels(options: argparse.Namespace | None = None) -> ExportCommand:
    """Parse the command line, and check that the format can hold the job's labels."""
    options = options or COMMAND.parse()
    from labelflow.cli.signals import signals

    signals.listen()
    with exit_status():
        from labelflow.operations.discovery import find_single_job
        from labelflow.operations.export import check_export

        load_environment()
        check_export(find_single_job(options.output, offline=True), options.to)
        classes = [name.strip() for name in options.classes.split(",")] if options.classes else None
        return ExportCommand(options.output, options.to, options.dest, options.split, options.group_by, classes)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("output", metavar="OUTPUT", help="the job's output folder (path or s3://)")
    parser.add_argument("--to", metavar="FORMAT", required=True, help="coco, csv or jsonl, see docs/exports.md")
    parser.add_argument("--dest", metavar="URI", required=True, help="folder or s3:// prefix to write to")
    parser.add_argument("--split", metavar="PARTS", help="parts and percentages, like train=80,val=10,test=10")
    parser.add_argument(
        "--group-by", metavar="COLUMN", help="keep rows with the same value of this carried column in one part"
    )
    parser.add_argument("--classes", metavar="A,B,C", help="classes, in the order of their ids (default: the job's)")


COMMAND = Command(
    name="export",
    program="python -m flows.export_labels",
    summary="write labels as COCO, CSV or JSON Lines",
    description="Write the labels of a job in another format. Reads the output folder only: it needs no key.",
    epilog="Each file appears complete or not at all. Repeat an export that was interrupted with the same command.",
    add_arguments=_add_arguments,
)
