"""The command line of the flows: arguments, messages, exit status. Imports no Prefect."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from labeling.job import Job
    from labeling.plan import Plan
    from labeling.run import Run
    from labeling.summary import Summary

QUIET_PREFECT = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",  # what ends a run is told once, by `exit_status`
    "PREFECT_LOGGING_SERVER_LEVEL": "CRITICAL",
}


@dataclass(frozen=True, slots=True)
class LabelCommand:
    """A checked command line, with its run open and the API reached."""

    job: Job
    run: Run
    limit: int | None
    wait: bool

    def finish(self, flow: Callable[[], Summary]) -> NoReturn:
        """Run the flow with its progress shown, print the result, and leave with the exit status."""
        from flows.display import print_summary, showing
        from flows.prepared import prepared_run

        prepared_run.set(self.run)
        with exit_status():
            with showing(self.run.counts):
                summary = flow()
            print_summary(summary, self.run.plan)
            sys.exit(0 if accounted_for(summary, self.job, self.wait) else 1)


def accounted_for(summary: Summary, job: Job, wait: bool) -> bool:
    """Whether no more rows stay without a label than the job allows; those beyond --limit may, and
    with --no-wait those whose answer, or whose turn under the cap, is still to come."""
    if summary.unsettled:
        return False
    pending = summary.pending - summary.beyond_limit if wait else 0
    return summary.unlabeled + pending <= job.allowed_unlabeled(summary.rows)


def prepare_label_dataset(arguments: list[str] | None = None) -> LabelCommand:
    """Parse and check everything that can be checked without Prefect. A dry run ends here."""
    options = _parser().parse_args(arguments)
    with exit_status():
        from labeling.config import load_job
        from labeling.plan import Plan
        from labeling.run import Run

        _load_environment()
        job = load_job(options.config, manifest=options.manifest, output=options.output)
        plan = Plan(job, limit=options.limit)
        if options.dry_run:
            _dry_run(plan)
        if not options.yes:
            _ask_before_money_is_spent(job)
        return LabelCommand(job, Run(plan), options.limit, wait=not options.no_wait)


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
    parser.add_argument("--yes", action="store_true", help="do not ask before a live key spends money")
    parser.add_argument("--no-wait", action="store_true", help="submit, look once at what has come back, and leave")
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rows; give 1 or more")
    return int(text)


def _load_environment() -> None:
    from dotenv import find_dotenv, load_dotenv

    from labeling.errors import Unusable

    path = find_dotenv(usecwd=True)
    try:
        load_dotenv(path)
    except UnicodeDecodeError:
        raise Unusable(path, "is not UTF-8 text", "save it as UTF-8") from None
    for name, value in QUIET_PREFECT.items():
        os.environ.setdefault(name, value)
    if not os.environ.get("PREFECT_API_URL"):
        os.environ.setdefault("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "true")


def _ask_before_money_is_spent(job: Job) -> None:
    """On a terminal, a job with a live key needs a yes."""
    from scale.contract import Mode

    if job.scale.mode is not Mode.LIVE or not sys.stdin.isatty():
        return
    cap = job.submit.cap()
    most = "without a cap on their number" if cap is None else f"{cap:,} at most"
    print(f"{job.name} has people do its tasks, {most}, and they cost money. Go on? [y/N] ", end="", flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        leave("Nothing was sent.", 2)


def _dry_run(plan: Plan) -> NoReturn:
    from flows.display import print_preview, showing

    with closing(plan), showing(plan.counts):
        preview = plan.preview()
    print_preview(preview, plan)
    sys.exit(0 if preview.reject <= plan.job.allowed_unlabeled(preview.rows) else 1)


@contextmanager
def exit_status() -> Iterator[None]:
    """Turn what ends a run early into one message and an exit status; see `labeling.errors`."""
    from labeling.errors import LabelingError, Stopped
    from scale.errors import ScaleError

    try:
        yield
    except (KeyboardInterrupt, Stopped):
        again = shlex.join(["python", "-m", "flows.label_dataset", *sys.argv[1:]])
        leave(f"Stopped. What was created is recorded; go on with: {again}", Stopped.exit_status)
    except LabelingError as error:
        leave(str(error), error.exit_status)
    except ScaleError as error:
        leave(f"The Scale API: {error.message}. What was created is recorded; run the same command to go on.", 1)
    except Exception as error:  # the last net
        leave(f"A mistake of ours: {error!r}. What was created is recorded. Please report {_written_down()}", 1)


def _written_down() -> str:
    """Put the traceback of the current error into a file; gives its path."""
    import tempfile
    import traceback

    from labeling.redaction import without_signature

    with tempfile.NamedTemporaryFile("w", prefix="labelflow-", suffix=".txt", delete=False) as file:
        file.write(without_signature(traceback.format_exc()))
    return file.name


def leave(message: str, status: int) -> NoReturn:
    """Say why on stderr, and exit."""
    from labeling.redaction import without_signature

    print(without_signature(message), file=sys.stderr, flush=True)
    sys.exit(status)
