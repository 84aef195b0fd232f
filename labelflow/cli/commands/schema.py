"""The command `labelflow schema`: the JSON schema of a config."""

from __future__ import annotations

import argparse

from labelflow.cli.command import Command
from labelflow.cli.exit_status import exit_status


def run(_: argparse.Namespace) -> int:
    """Print the schema. Returns the exit status."""
    with exit_status():
        import json

        from labelflow.jobs.schema import config_schema

        print(json.dumps(config_schema(), indent=2, ensure_ascii=False))
    return 0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has none."""


COMMAND = Command(
    name="schema",
    program="labelflow schema",
    summary="print the JSON schema of a config, for editors",
    description="Print the JSON schema of a config. An editor with YAML support checks and completes a config whose "
    "first line is `# yaml-language-server: $schema=job.schema.json`, with the schema in that file beside it.",
    add_arguments=_add_arguments,
)
