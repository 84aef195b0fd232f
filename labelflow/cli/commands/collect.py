"""The command line of flows/collect_responses.py. Imports no Prefect."""

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
    from labelflow.errors import LabelflowError
    from labelflow.jobs.job import Job
    from labelflow.operations.collect import CollectionResult
    from labelflow.operations.discovery import DiscoveredJob


@dataclass(frozen=True, slots=True)
class CollectCommand:
    """A validated command line: folders that contain jobs, and jobs given by their config files.

    found: the jobs of both.
    """

    outputs: list[str]
    jobs: list[Job]
    found: list[Job]

    def finish(self, flow: Callable[..., list[CollectionResult]]) -> NoReturn:
        """Run the flow, print its results, and exit with the exit status."""
        from labelflow.cli import temporary_prefect_server
        from labelflow.cli.display import print_collection_results, print_connections
        from labelflow.operations.collect import CollectionFailed

        with exit_status():
            print_connections(self.found)
            temporary_prefect_server.start()
            try:
                print_collection_results(flow(outputs=self.outputs, jobs=self.jobs))
            except CollectionFailed as error:
                print_collection_results(error.collected)
                raise
            sys.exit(0)


def prepare_collect_responses(options: argparse.Namespace | None = None) -> CollectCommand:
    """Parse and validate whatever needs no Prefect. Exits if none of the jobs can be collected."""
    options = options or COMMAND.parse()
    from labelflow.cli.signals import signals

    signals.listen()
    with exit_status():
        from labelflow.errors import InvalidInput, OtherMode
        from labelflow.jobs.config import is_config, load_job
        from labelflow.operations.discovery import DiscoveredJob, find_jobs
        from labelflow.problems import printable

        load_environment()
        outputs = [path for path in options.configs if not is_config(path)]
        jobs = [load_job(path) for path in options.configs if is_config(path)]
        discovered = [
            *(DiscoveredJob(job.output, job) for job in jobs),
            *(job for path in outputs for job in find_jobs(path)),
        ]
        if not discovered:
            fix = "give the output folder of a job, or a folder above it"
            raise InvalidInput(", ".join(outputs), "contains no job, neither do its subfolders", fix)
        errors = [(job, error) for job in discovered if (error := _find_error(job))]
        if len(errors) == len(discovered):
            messages = [f"{job.name}: {error}" if len(discovered) > 1 else str(error) for job, error in errors]
            exit_with("\n".join(messages), max(error.exit_status for _, error in errors))
        for job, error in errors:
            if isinstance(error, OtherMode):
                print(printable(f"{job.name}: skipped, {error}"), flush=True)
        return CollectCommand(outputs, jobs, [each.job for each in discovered if each.job])


def _find_error(discovered: DiscoveredJob) -> LabelflowError | None:
    """Return why a job cannot be collected, as far as that shows without the API."""
    from labelflow.errors import LabelflowError
    from labelflow.jobs.credentials.keys import read_key

    try:
        read_key(discovered.require_job())
    except LabelflowError as error:
        return error
    return None


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    text = "a job's YAML file, its output folder, or a folder that contains output folders (path or s3://)"
    parser.add_argument("configs", metavar="CONFIG|OUTPUT", nargs="+", help=text)


COMMAND = Command(
    name="collect",
    program="python -m flows.collect_responses",
    summary="collect finished answers once, for one or more jobs",
    description="Collect finished answers once for each open job.",
    epilog="Safe to run at any time, also while other runs of the same jobs are active.",
    add_arguments=_add_arguments,
)
