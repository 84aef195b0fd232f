"""The command line of the sandbox, below the console script."""

from __future__ import annotations

import argparse

from labelflow.cli.command import Command
from labelflow.sandbox.__main__ import DESCRIPTION, add_arguments, run
from labelflow.sandbox.settings.fault_spec import help_text

__all__ = ["COMMAND", "run"]

COMMAND = Command(
    name="sandbox",
    program="python -m labelflow.sandbox",
    summary="run a local server that implements the Scale API",
    description=DESCRIPTION,
    epilog=help_text(),
    add_arguments=add_arguments,
    formatter=argparse.RawDescriptionHelpFormatter,
)
