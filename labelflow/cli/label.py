"""The command line of flows/label_dataset.py. Imports no Prefect."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from labelflow.cli.command import exit_status, exit_with, load_environment

if TYPE_CHECKING:
    from labelflow.accounting.summary import Summary
    from labelflow.jobs.job import Job
    from labelflow.operations.label import LabelRun
    from labelflow.planning.plan import Plan
    from labelflow.planning.relabeling import Relabel


@dataclass(frozen=True, slots=True)
class LabelCommand:
    """A checked command line, with its run open and the API reached."""

    job: Job
    run: LabelRun
    limit: int | None
    wait: bool
    relabel: Relabel | None

    def finish(self, flow: Callable[[], Summary]) -> NoReturn:
        """Run the flow with its progress shown, print the result, and leave with the exit status."""
        from labelflow.cli import prefect_server
        from labelflow.cli.display import print_summary, show_progress
        from labelflow.cli.runtime import prepared_run

        prepared_run.set(self.run)
        with exit_status():
            try:
                with show_progress(self.run.progress):
                    prefect_server.start()
                    flow()
            finally:
                if self.run.final_summary:
                    print_summary(self.run.final_summary, self.run.plan)
            self.run.plan.context.stop.check()
            sys.exit(0)


def prepare_label_dataset(arguments: list[str] | None = None) -> LabelCommand:
    """Parse and check everything that can be checked without Prefect. A dry run ends here."""
    options = _parser().parse_args(arguments)
    from labelflow.cli.signals import signals

    signals.listen()
    with exit_status():
        from labelflow.cli import garbage
        from labelflow.jobs.config import load_job
        from labelflow.operations.label import LabelRun
        from labelflow.planning.plan import Plan
        from labelflow.planning.relabeling import Relabel

        load_environment()
        garbage.tune_garbage_collector()
        job = load_job(options.config, manifest=options.manifest, output=options.output)
        if job.runner.is_distributed and not options.dry_run:
            from labelflow.cli.prefect_server import require_prefect_api

            require_prefect_api()
        relabel = Relabel(options.relabel) if options.relabel else None
        plan = Plan(job, limit=options.limit, relabel=relabel)
        if options.dry_run:
            _dry_run(plan)
        if not options.yes:
            _confirm_cost(job)
        return LabelCommand(job, LabelRun(plan), options.limit, wait=not options.no_wait, relabel=relabel)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.label_dataset",
        description="Create one Scale task per row of a manifest, and write the answers as typed Parquet.",
        epilog="Safe to run again: rows that have a task already are not sent a second time.",
    )
    parser.add_argument("config", metavar="CONFIG", help="the job: a YAML file, see configs/")
    parser.add_argument("--manifest", metavar="URI", help="use this manifest instead of the job's")
    parser.add_argument("--output", metavar="URI", help="write to this folder or s3:// prefix instead")
    parser.add_argument("--limit", metavar="N", type=_positive, help="submit only rows out of the first N")
    parser.add_argument(
        "--dry-run", action="store_true", help="check every row, say what a run would cost, send nothing"
    )
    parser.add_argument(
        "--relabel",
        choices=["changed", "errors"],
        help="make a new task for rows that have changed since, or whose task came back without a label",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before a live key spends money")
    parser.add_argument("--no-wait", action="store_true", help="submit, look once at what has come back, and leave")
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rows; give 1 or more")
    return int(text)


def _confirm_cost(job: Job) -> None:
    """On a terminal, a job with a live key needs a yes."""
    from labelflow.scale.models import Mode

    if job.scale.mode is not Mode.LIVE or not sys.stdin.isatty():
        return
    cap = job.submit.cap()
    most = "without a cap on their number" if cap is None else f"{cap:,} at most"
    print(f"{job.name} has people do its tasks, {most}, and they cost money. Go on? [y/N] ", end="", flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        exit_with("Nothing was sent.", 2)


def _dry_run(plan: Plan) -> NoReturn:
    from labelflow.cli.display import print_preview, show_progress

    with closing(plan), show_progress(plan.progress):
        preview = plan.preview()
    print_preview(preview, plan)
    sys.exit(0 if preview.reject <= plan.context.job.allowed_unlabeled(preview.rows) else 1)
