"""Print what makes a shell complete the commands and options of the console script."""

from __future__ import annotations

import argparse

from labelflow.cli.command import Command

SHELLS = ("bash", "zsh", "fish")


def run(options: argparse.Namespace) -> int:
    """Print the code of a shell. Returns the exit status."""
    from argcomplete.shell_integration import shellcode

    print(shellcode(["labelflow"], shell=options.shell))
    return 0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="the shell")


COMMAND = Command(
    name="completion",
    program="labelflow completion",
    summary="print the code that makes a shell complete commands and options",
    description='Print the code that makes a shell complete commands and options. For bash and zsh: eval "$(labelflow '
    'completion bash)" in ~/.bashrc or ~/.zshrc; for fish: labelflow completion fish | source.',
    add_arguments=_add_arguments,
)
