"""The command line of flows/collect_responses.py. Imports no Prefect."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from labelflow.cli.command import exit_status, exit_with, load_environment

if TYPE_CHECKING:
    from labelflow.errors import LabelflowError
    from labelflow.jobs.job import Job
    from labelflow.operations.collect import CollectionResult
    from labelflow.operations.discovery import DiscoveredJob


@dataclass(frozen=True, slots=True)
class CollectCommand:
    """A checked command line: folders in which jobs lie, and jobs that were named by their configs."""

    outputs: list[str]
    jobs: list[Job]

    def finish(self, flow: Callable[..., list[CollectionResult]]) -> NoReturn:
        """Run the flow, print what it found, and leave with the exit status."""
        from labelflow.cli import prefect_server
        from labelflow.cli.display import print_collection_results
        from labelflow.operations.collect import CollectionFailed

        with exit_status():
            prefect_server.start()
            try:
                print_collection_results(flow(outputs=self.outputs, jobs=self.jobs))
            except CollectionFailed as error:
                print_collection_results(error.collected)
                raise
            sys.exit(0)


def prepare_collect_responses(arguments: list[str] | None = None) -> CollectCommand:
    """Parse and check everything that can be checked without Prefect; leave where no job can be looked after."""
    options = _parser().parse_args(arguments)
    from labelflow.cli.signals import signals

    signals.listen()
    with exit_status():
        from labelflow.errors import UsageError
        from labelflow.jobs.config import is_config, load_job
        from labelflow.operations.discovery import DiscoveredJob, find_jobs

        load_environment()
        outputs = [path for path in options.configs if not is_config(path)]
        jobs = [load_job(path) for path in options.configs if is_config(path)]
        found = [
            *(DiscoveredJob(job.output, job) for job in jobs),
            *(one for path in outputs for one in find_jobs(path)),
        ]
        if not found:
            raise UsageError(", ".join(outputs), "holds no job, nor do the folders below it", "name a job's output")
        troubles = [(one, trouble) for one in found if (trouble := _find_error(one))]
        if len(troubles) == len(found):
            messages = [f"{one.name}: {trouble}" if len(found) > 1 else str(trouble) for one, trouble in troubles]
            exit_with("\n".join(messages), max(trouble.exit_status for _, trouble in troubles))
        return CollectCommand(outputs, jobs)


def _find_error(found: DiscoveredJob) -> LabelflowError | None:
    """Why a job cannot be looked after, as far as that shows before."""
    from labelflow.errors import LabelflowError
    from labelflow.jobs.api_keys import read_key

    try:
        read_key(found.require_job())
    except LabelflowError as error:
        return error
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.collect_responses",
        description="Take over what people have answered: one short pass over open jobs.",
        epilog="Safe to run at any time, beside any other run.",
    )
    text = "a job's YAML file, its output folder, or a folder below which such outputs lie (s3:// too)"
    parser.add_argument("configs", metavar="CONFIG", nargs="+", help=text)
    return parser
