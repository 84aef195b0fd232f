"""The console script `labelflow`: the commands of flows/ and the sandbox under one name.

This is the only module of labelflow that imports flows. `labelflow --help`, `--version` and the completion of a shell
import neither Prefect nor Arrow.
"""

# PYTHON_ARGCOMPLETE_OK

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from labelflow.cli.commands import cancel, collect, completion, export, label, receive, sandbox, schema, status


def main(arguments: list[str] | None = None) -> int | None:
    """Run a command. Returns its exit status, or raises SystemExit with it."""
    parser = _parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks how a command line may continue
        import argcomplete

        argcomplete.autocomplete(parser)
    options = parser.parse_args(arguments)
    import flows  # noqa: F401  sets Arrow's memory pool, which must precede the import of pyarrow

    return RUN[options.command](options)


def _label(options: argparse.Namespace) -> None:
    command = label.prepare_label_dataset(options)
    from flows.label_dataset import label_dataset

    command.finish(label_dataset)


def _collect(options: argparse.Namespace) -> None:
    command = collect.prepare_collect_responses(options)
    from flows.collect_responses import collect_responses

    command.finish(collect_responses)


def _cancel(options: argparse.Namespace) -> None:
    command = cancel.prepare_cancel_dataset(options)
    from flows.cancel_dataset import cancel_dataset

    command.finish(cancel_dataset)


def _export(options: argparse.Namespace) -> None:
    command = export.prepare_export_labels(options)
    from flows.export_labels import export_labels

    command.finish(export_labels)


COMMANDS = (
    label.COMMAND,
    collect.COMMAND,
    cancel.COMMAND,
    receive.COMMAND,
    export.COMMAND,
    status.COMMAND,
    schema.COMMAND,
    sandbox.COMMAND,
    completion.COMMAND,
)
RUN: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "label": _label,
    "collect": _collect,
    "cancel": _cancel,
    "receive": receive.main,
    "export": _export,
    "status": status.run,
    "schema": schema.run,
    "sandbox": sandbox.run,
    "completion": completion.run,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="labelflow",
        description="Have a data set labeled through the Scale API.",
        epilog="`labelflow COMMAND --help` shows the options of a command.",
    )
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")
    for command in COMMANDS:
        command.add_to(commands)
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
