"""The console script `labelflow`: the commands of flows/ and the sandbox under one name.

This is the only module of labelflow that imports flows. `labelflow --help` and `--version` import no Prefect.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import NamedTuple


class Command(NamedTuple):
    """A subcommand: its line in --help, and what runs it with the remaining arguments. Returns the exit status."""

    summary: str
    run: Callable[[list[str]], int | None]


def main(arguments: list[str] | None = None) -> int | None:
    """Run a subcommand. Returns its exit status, or raises SystemExit with it."""
    options = _parser().parse_args(arguments)
    import flows  # noqa: F401  sets Arrow's memory pool, which must precede the import of pyarrow

    return COMMANDS[options.command].run(options.arguments)


def _label(arguments: list[str]) -> None:
    from labelflow.cli.commands.label import prepare_label_dataset

    command = prepare_label_dataset(arguments, "labelflow label")
    from flows.label_dataset import label_dataset

    command.finish(label_dataset)


def _collect(arguments: list[str]) -> None:
    from labelflow.cli.commands.collect import prepare_collect_responses

    command = prepare_collect_responses(arguments, "labelflow collect")
    from flows.collect_responses import collect_responses

    command.finish(collect_responses)


def _cancel(arguments: list[str]) -> None:
    from labelflow.cli.commands.cancel import prepare_cancel_dataset

    command = prepare_cancel_dataset(arguments, "labelflow cancel")
    from flows.cancel_dataset import cancel_dataset

    command.finish(cancel_dataset)


def _receive(arguments: list[str]) -> None:
    from labelflow.cli.commands.receive import main as receive

    receive(arguments, "labelflow receive")


def _sandbox(arguments: list[str]) -> int:
    from labelflow.sandbox.__main__ import main as sandbox

    return sandbox(arguments)


COMMANDS = {
    "label": Command("submit the rows of a manifest and write the answers as typed Parquet", _label),
    "collect": Command("collect finished answers once, for one or more jobs", _collect),
    "cancel": Command("cancel the pending tasks of a job", _cancel),
    "receive": Command("run the web service that receives callbacks", _receive),
    "sandbox": Command("run a local server that implements the Scale API", _sandbox),
}


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    parser = argparse.ArgumentParser(
        prog="labelflow",
        usage="labelflow [--help] [--version] COMMAND ...",
        description="Have a data set labeled through the Scale API.",
        epilog="commands:\n"
        + "\n".join(f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items())
        + "\n\n`labelflow COMMAND --help` shows the options of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="show the version and exit")
    parser.add_argument("command", metavar="COMMAND", choices=COMMANDS, help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS).required = False
    return parser


class _PrintVersion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"labelflow {version('labelflow')}")
        except PackageNotFoundError:
            print("labelflow (not installed; run from its source folder)")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
