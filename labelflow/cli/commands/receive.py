"""The command line of flows/receive_callbacks.py. Imports no Prefect."""

from __future__ import annotations

import argparse
import signal
import sys
from types import FrameType

from labelflow.cli.command import Command
from labelflow.cli.environment import load_environment
from labelflow.cli.exit_status import exit_with


def main(options: argparse.Namespace | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C. Exits with status 2 if the service cannot start."""
    options = options or COMMAND.parse()
    from labelflow.errors import LabelflowError

    try:
        load_environment()
        _serve(options)
    except LabelflowError as error:
        exit_with(str(error), error.exit_status)


def _serve(options: argparse.Namespace) -> None:
    from labelflow.callbacks.callback_router import CallbackRouter
    from labelflow.callbacks.server import CallbackServer
    from labelflow.jobs.config import load_job
    from labelflow.jobs.credentials.keys import read_callback_key
    from labelflow.jobs.credentials.secrets import describe_reference

    jobs = [load_job(config) for config in options.configs]
    server = CallbackServer(CallbackRouter(jobs), read_callback_key(*jobs), options.host, options.port)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)
    names, source = ", ".join(job.name for job in jobs), describe_reference(jobs[0].collect.auth_key)
    print(f"Receiving callbacks on {server.url}/callback for {names}, auth key from {source}", flush=True)
    server.run()


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a valid port; use 0 to 65535 (0: any free port)")
    return int(text)


def _exit(_: int, __: FrameType | None) -> None:
    """Exit with status 0: uvicorn raises the signal again after its shutdown."""
    sys.exit(0)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("configs", metavar="CONFIG", nargs="+", help="YAML files of the jobs, see configs/")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=_port, default=8900, help="port to listen on, 0 for any free one (default: %(default)s)"
    )


COMMAND = Command(
    name="receive",
    program="python -m flows.receive_callbacks",
    summary="run the web service that receives callbacks",
    description="Receive the callbacks of jobs and store them in the jobs' output folders. The next run of "
    "label_dataset or collect_responses turns them into labels.",
    epilog="The environment or a .env file must set SCALE_CALLBACK_AUTH_KEY to the account's callback auth key.",
    add_arguments=_add_arguments,
)
