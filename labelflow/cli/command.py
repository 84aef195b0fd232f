"""What a command is: its arguments and its help, by itself and below the console script `labelflow`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """A command. Its module imports nothing that is slow: help and completion read all commands.

    name: below the console script. program: how it is called by itself. summary: its line in the list of commands.

    >>> COMMAND.parse(["my-job.yaml", "--dry-run"]).dry_run
    True
    """

    name: str
    program: str
    summary: str
    description: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    epilog: str | None = None
    formatter: type[argparse.HelpFormatter] = argparse.HelpFormatter

    def parse(self, arguments: Sequence[str] | None = None) -> argparse.Namespace:
        """Parse the command line of the command by itself. Exits with status 2 if it is invalid."""
        parser = argparse.ArgumentParser(
            prog=self.program, description=self.description, epilog=self.epilog, formatter_class=self.formatter
        )
        self.add_arguments(parser)
        return parser.parse_args(arguments)

    def add_to(self, commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        """Add the command to those of the console script."""
        parser = commands.add_parser(
            self.name,
            help=self.summary,
            description=self.description,
            epilog=self.epilog,
            formatter_class=self.formatter,
        )
        self.add_arguments(parser)
