"""Receive callbacks: a web service that takes people's answers for jobs, and stores them until they are collected.

python -m flows.receive_callbacks CONFIG... [--host H] [--port P]

It is no Prefect flow: it waits for Scale, not for a schedule. docs/callbacks.md says how to expose it.
"""

from __future__ import annotations

import argparse
import signal
import sys
from types import FrameType


def main(arguments: list[str] | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C. Leaves with exit status 2 where it cannot start."""
    options = _parser().parse_args(arguments)
    from labelflow.cli.command import exit_with, load_environment
    from labelflow.errors import LabelflowError

    try:
        load_environment()
        _serve(options)
    except LabelflowError as error:
        exit_with(str(error), error.exit_status)


def _serve(options: argparse.Namespace) -> None:
    from labelflow.callbacks.receiver import CallbackReceiver
    from labelflow.callbacks.server import CallbackServer
    from labelflow.jobs.api_keys import read_callback_key
    from labelflow.jobs.config import load_job

    jobs = [load_job(config) for config in options.config]
    server = CallbackServer(CallbackReceiver(jobs), read_callback_key(*jobs), options.host, options.port)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)
    print(f"Receiving callbacks on {server.url}/callback for {', '.join(job.name for job in jobs)}", flush=True)
    server.run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flows.receive_callbacks",
        description="Receive the callbacks of jobs, and store them in their outputs, for the next run to collect.",
        epilog="SCALE_CALLBACK_AUTH_KEY, in the environment or in a .env file, is the account's callback auth key.",
    )
    parser.add_argument("config", metavar="CONFIG", nargs="+", help="the jobs: YAML files, see configs/")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=8900, help="port to listen on (default: %(default)s)")
    return parser


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; give a number up to 65535, 0 for a free one")
    return int(text)


def _exit(_: int, __: FrameType | None) -> None:
    """uvicorn passes the signal on once it has shut down: there is nothing left to do then."""
    sys.exit(0)


if __name__ == "__main__":
    main()
