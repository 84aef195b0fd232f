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
DESCRIPTION = (
    "A local server that speaks the Scale API. Any key that starts with test_ or live_ is good: "
    "a test key completes a task at once, a live key after the turnaround."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sandbox. Returns the exit status: 2 where it cannot start."""
    args = _parser().parse_args(arguments)
    try:
        listener = socket.create_server((args.host, args.port))
    except OSError as error:
        return _report_failure(f"listen on {args.host}:{args.port}", error)
    from labelflow.sandbox.server import serve  # here, so that --help is quick

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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m labelflow.sandbox",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=textwrap.fill(DESCRIPTION, HELP_WIDTH),
        epilog=help_text(),
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    parser.add_argument("--db", type=Path, metavar="PATH", help="SQLite file to keep tasks in (default: in memory)")
    parser.add_argument(
        "--turnaround",
        type=_turnaround,
        default=Turnaround(60, 60),
        metavar="SECONDS",
        help="how long a live task takes: 30, or 60-300 (default: 60)",
    )
    parser.add_argument(
        "--api",
        choices=list(API_VERSIONS),
        default="current",
        help="the API as it is, or as it was in 2017: without unique_id (default: %(default)s)",
    )
    parser.add_argument(
        "--default-callback",
        type=_callback_url,
        metavar="URL",
        help="where answers go to that name no callback_url; none: it is required (default: a sink)",
    )
    parser.add_argument(
        "--callback-day",
        type=float,
        default=DAY_SECONDS,
        metavar="SECONDS",
        help="how long the 24 hours of callback retries take (default: %(default)g)",
    )
    parser.add_argument(
        "--faults", type=_fault_spec, metavar="SPEC", help="what goes wrong on purpose: see below (default: nothing)"
    )
    return parser


def _fault_spec(text: str) -> FaultSpec:
    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _turnaround(text: str) -> Turnaround:
    try:
        return Turnaround.parse(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither SECONDS nor LOW-HIGH") from None


def _callback_url(text: str) -> str:
    if text != "none" and not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a full URL nor none")
    return text


def _report_failure(action: str, error: Exception) -> int:
    print(f"The sandbox cannot {action}: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
