"""The command line of flows/label_dataset.py. Imports no Prefect."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from labelflow.cli.command import Command
from labelflow.cli.environment import load_environment
from labelflow.cli.exit_status import exit_status, exit_with

if TYPE_CHECKING:
    from labelflow.accounting.summary import Summary
    from labelflow.jobs.job import Job
    from labelflow.operations.label import LabelRun
    from labelflow.planning.plan import Plan
    from labelflow.planning.relabel.relabeling import RelabelMode


@dataclass(frozen=True, slots=True)
class LabelCommand:
    """A validated command line, with an open run that has reached the API."""

    job: Job
    run: LabelRun
    limit: int | None
    wait: bool
    relabel: RelabelMode | None
    rows: str | None

    def finish(self, flow: Callable[..., Summary]) -> NoReturn:
        """Run the flow while showing its progress, print the summary, and exit with the exit status."""
        from labelflow.cli import temporary_prefect_server
        from labelflow.cli.display import print_interrupted, print_summary, show_progress
        from labelflow.cli.prepared_run import prepared_run

        prepared_run.set(self.run)
        with exit_status():
            try:
                with show_progress(self.run.progress):
                    temporary_prefect_server.start()
                    flow(self.job, limit=self.limit, wait=self.wait, relabel=self.relabel, rows=self.rows)
            finally:
                if self.run.final_summary:
                    print_summary(self.run.final_summary, self.run.plan)
                elif self.run.progress.read:
                    print_interrupted(self.run.progress)
            self.run.plan.context.stop.check()
            sys.exit(0)


def prepare_label_dataset(options: argparse.Namespace | None = None) -> LabelCommand:
    """Parse and validate whatever needs no Prefect. A dry run prints its result and exits here."""
    options = options or COMMAND.parse()
    from labelflow.cli.signals import signals

    signals.listen()
    with exit_status():
        from labelflow.cli.display import print_connections
        from labelflow.cli.gc_settings import tune_garbage_collector
        from labelflow.jobs.config import load_job
        from labelflow.operations.label import LabelRun
        from labelflow.planning.plan import Plan
        from labelflow.planning.relabel.relabeling import RelabelMode

        load_environment()
        tune_garbage_collector()
        job = load_job(options.config, manifest=options.manifest, output=options.output)
        if job.runner.is_distributed and not options.dry_run:
            from labelflow.cli.temporary_prefect_server import require_prefect_api

            require_prefect_api()
        relabel = RelabelMode(options.relabel) if options.relabel else None
        plan = Plan(job, limit=options.limit, relabel=relabel, rows=options.rows)
        if options.dry_run:
            _dry_run(plan)
        print_connections([job])
        if not options.yes:
            _confirm_cost(plan, options.limit)
        return LabelCommand(
            job, LabelRun(plan), options.limit, wait=not options.no_wait, relabel=relabel, rows=options.rows
        )


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a valid number of rows; use 1 or more")
    return int(text)


def _confirm_cost(plan: Plan, limit: int | None) -> None:
    """Ask for confirmation if the key is live and stdin is a terminal."""
    from labelflow.planning.task_count import count_new_tasks
    from labelflow.scale.models import Mode

    job = plan.context.job
    if job.scale.mode is not Mode.LIVE or not sys.stdin.isatty():
        return
    tasks = count_new_tasks(plan, limit)
    if not tasks:
        return
    price = job.submit.price_per_task
    cost = "submit.price_per_task is not set" if price is None else f"cost up to {tasks * price:,.2f}"
    print(f"Job {job.name} uses a live key: up to {tasks:,} paid tasks, {cost}. Continue? [y/N] ", end="", flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        exit_with("Nothing was sent.", 2)


def _dry_run(plan: Plan) -> NoReturn:
    from labelflow.cli.display import print_preview, show_progress

    with closing(plan), show_progress(plan.progress):
        preview = plan.preview()
    print_preview(preview, plan)
    sys.exit(0 if preview.reject <= plan.context.job.allowed_unlabeled(preview.rows) else 1)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help="the job's YAML file, see configs/")
    parser.add_argument("--manifest", metavar="URI", help="manifest to use instead of the one in CONFIG")
    parser.add_argument("--output", metavar="URI", help="output folder or s3:// prefix to use instead of CONFIG's")
    parser.add_argument("--limit", metavar="N", type=_positive, help="submit only rows among the first N")
    parser.add_argument(
        "--dry-run", action="store_true", help="check every row and show what a run would do and cost; send nothing"
    )
    parser.add_argument(
        "--relabel",
        choices=["changed", "errors", "canceled", "rows"],
        help="create a new task for rows that changed since their task was created (changed), whose task ended without "
        "a label (errors), whose task was canceled (canceled), or that FILE lists (rows)",
    )
    parser.add_argument("--rows", metavar="FILE", help="with --relabel rows: a manifest, or a .txt file of row ids")
    parser.add_argument("--yes", action="store_true", help="with a live key, do not ask before creating paid tasks")
    parser.add_argument("--no-wait", action="store_true", help="submit, collect once, and exit")


COMMAND = Command(
    name="label",
    program="python -m flows.label_dataset",
    summary="submit the rows of a manifest and write the answers as typed Parquet",
    description="Create one Scale task per row of a manifest and write the answers as typed Parquet.",
    epilog="Safe to run again: rows that already have a task are not submitted a second time.",
    add_arguments=_add_arguments,
)
