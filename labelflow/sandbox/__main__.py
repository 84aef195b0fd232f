"""The command line: `python -m labelflow.sandbox`."""

from __future__ import annotations

import argparse
import socket
import sqlite3
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from labelflow.sandbox.settings.api_version import API_VERSIONS
from labelflow.sandbox.settings.fault_spec import FaultSpec, help_text, parse
from labelflow.sandbox.settings.options import DAY_SECONDS, Options, Turnaround

HELP_WIDTH = 100
DESCRIPTION = textwrap.fill(
    "A local server with the Scale API. It accepts any key that starts with test_ or live_: "
    "a test key's tasks complete at once, a live key's after the turnaround.",
    HELP_WIDTH,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run the sandbox. Returns the exit status: 0, or 2 if it cannot start."""
    parser = argparse.ArgumentParser(
        prog="python -m labelflow.sandbox",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=DESCRIPTION,
        epilog=help_text(),
    )
    add_arguments(parser)
    return run(parser.parse_args(arguments))


def run(args: argparse.Namespace) -> int:
    """Run the sandbox with parsed arguments. Returns the exit status: 0, or 2 if it cannot start."""
    try:
        listener = socket.create_server((args.host, args.port))
    except OSError as error:
        return _report_failure(f"listen on {args.host}:{args.port}", error)
    from labelflow.sandbox.server import serve  # imported here so that --help is fast

    try:
        serve(listener, _options(args, listener.getsockname()[1]))
    except sqlite3.Error as error:
        return _report_failure(f"use the database {args.db}", error)
    return 0


def _options(args: argparse.Namespace, port: int) -> Options:
    host = "127.0.0.1" if args.host in ("", "0.0.0.0") else args.host
    options = Options(
        url=f"http://{host}:{port}",
        database=args.db,
        turnaround=args.turnaround,
        api_version=API_VERSIONS[args.api],
        callback_day=args.callback_day,
        faults=args.faults,
    )
    callback = {None: options.sink_url, "none": None}.get(args.default_callback, args.default_callback)
    return replace(options, default_callback=callback)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the sandbox to a parser."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    parser.add_argument("--db", type=Path, metavar="PATH", help="SQLite file to keep tasks in (default: in memory)")
    parser.add_argument(
        "--turnaround",
        type=_turnaround,
        default=Turnaround(60, 60),
        metavar="SECONDS",
        help="turnaround of a live task: 30, or 60-300 (default: 60)",
    )
    parser.add_argument(
        "--api",
        choices=list(API_VERSIONS),
        default="current",
        help="the version of the API; 2017 has no unique_id (default: %(default)s)",
    )
    parser.add_argument(
        "--default-callback",
        type=_callback_url,
        metavar="URL",
        help="callback URL of tasks without a callback_url; none: callback_url is required (default: a sink)",
    )
    parser.add_argument(
        "--callback-day",
        type=float,
        default=DAY_SECONDS,
        metavar="SECONDS",
        help="duration of the 24 hours of callback retries (default: %(default)g)",
    )
    parser.add_argument(
        "--faults", type=_fault_spec, metavar="SPEC", help="the faults to inject: see below (default: none)"
    )


def _fault_spec(text: str) -> FaultSpec:
    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _turnaround(text: str) -> Turnaround:
    try:
        return Turnaround.parse(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"got {text!r}; use SECONDS or LOW-HIGH, such as 30 or 60-300") from None


def _callback_url(text: str) -> str:
    if text != "none" and not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"got {text!r}; use a URL that starts with http:// or https://, or none")
    return text


def _report_failure(action: str, error: Exception) -> int:
    print(f"The sandbox cannot {action}: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
