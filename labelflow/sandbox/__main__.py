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

from labelflow.sandbox.settings.api_version import DIALECTS
from labelflow.sandbox.settings.fault_spec import Spec, described, parse
from labelflow.sandbox.settings.options import DAY_SECONDS, Options, Turnaround

WIDTH = 100
DESCRIPTION = (
    "A local server that speaks the Scale API. Any key that starts with test_ or live_ is good: "
    "a test key completes a task at once, a live key after the turnaround."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sandbox. Returns the exit status: 2 where it cannot start."""
    given = _parser().parse_args(arguments)
    try:
        listener = socket.create_server((given.host, given.port))
    except OSError as error:
        return _cannot(f"listen on {given.host}:{given.port}", error)
    from labelflow.sandbox.server import serve  # here, so that --help is quick

    try:
        serve(listener, _options(given, listener.getsockname()[1]))
    except sqlite3.Error as error:
        return _cannot(f"use the database {given.db}", error)
    return 0


def _options(given: argparse.Namespace, port: int) -> Options:
    host = "127.0.0.1" if given.host in ("", "0.0.0.0") else given.host
    options = Options(
        url=f"http://{host}:{port}",
        database=given.db,
        turnaround=given.turnaround,
        dialect=DIALECTS[given.dialect],
        callback_day=given.callback_day,
        faults=given.faults,
    )
    callback = {None: options.sink, "none": None}.get(given.default_callback, given.default_callback)
    return replace(options, default_callback=callback)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m labelflow.sandbox",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=textwrap.fill(DESCRIPTION, WIDTH),
        epilog=described(),
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
        "--dialect",
        choices=list(DIALECTS),
        default="today",
        help="the API as it is, or as it was in 2017: without unique_id (default: %(default)s)",
    )
    parser.add_argument(
        "--default-callback",
        type=_callback,
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
        "--faults", type=_faults, metavar="SPEC", help="what goes wrong on purpose: see below (default: nothing)"
    )
    return parser


def _faults(text: str) -> Spec:
    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _turnaround(text: str) -> Turnaround:
    try:
        return Turnaround.parse(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither SECONDS nor LOW-HIGH") from None


def _callback(text: str) -> str:
    if text != "none" and not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a full URL nor none")
    return text


def _cannot(what: str, error: Exception) -> int:
    print(f"The sandbox cannot {what}: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
