"""The command line of flows/collect_responses.py. Imports no Prefect."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from flows.command import exit_status, load_environment

if TYPE_CHECKING:
    from labeling.job import Job
    from labeling.visiting import Visited


@dataclass(frozen=True, slots=True)
class CollectCommand:
    """A checked command line: the jobs to look after."""

    jobs: list[Job]

    def finish(self, flow: Callable[..., list[Visited]]) -> NoReturn:
        """Run the flow, print what it found, and leave with the exit status."""
        from flows import ephemeral
        from flows.display import print_visits

        with exit_status():
            ephemeral.start()
            print_visits(flow(jobs=self.jobs))
            sys.exit(0)


def prepare_collect_responses(arguments: list[str] | None = None) -> CollectCommand:
    """Parse and check everything that can be checked without Prefect."""
    options = _parser().parse_args(arguments)
    from flows.signals import signals

    signals.listen()
    with exit_status():
        from labeling.begun import find_jobs
        from labeling.config import is_config, load_job, read_key
        from labeling.errors import Unusable

        load_environment()
        jobs = [job for path in options.configs for job in ([load_job(path)] if is_config(path) else find_jobs(path))]
        if not jobs:
            raise Unusable(", ".join(options.configs), "holds no job, nor do the folders in it", "name a job's output")
        for job in jobs:
            read_key(job)
        return CollectCommand(jobs)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.collect_responses",
        description="Take over what people have answered: one short pass over open jobs.",
        epilog="Safe to run at any time, beside any other run.",
    )
    text = "a job's YAML file, its output folder, or a folder of such outputs (s3:// too)"
    parser.add_argument("configs", metavar="CONFIG", nargs="+", help=text)
    return parser
