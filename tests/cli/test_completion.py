"""The completion of the shells, asked for as the shells do it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.commands import ROOT


def complete(line: str) -> list[str]:
    """What the shell offers after this command line."""
    variables = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": "/dev/stdout",
        "_ARGCOMPLETE_IFS": "\n",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    done = subprocess.run(
        [sys.executable, "-m", "labelflow"], cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True
    )
    return [word.strip() for word in done.stdout.split("\n") if word]


def test_commands_and_their_options_are_completed() -> None:
    assert complete("labelflow co") == ["collect", "completion"]
    assert "--relabel" in complete("labelflow label --re")
    assert complete("labelflow label job.yaml --relabel ca") == ["canceled"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_code(shell: str) -> None:
    command = [sys.executable, "-m", "labelflow", "completion", shell]
    code = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "labelflow" in code
    if shell == "bash":
        check = f"{code}\ncomplete -p labelflow"
        shown = subprocess.run(["bash", "--norc", "-c", check], capture_output=True, text=True, check=True).stdout
        assert shown.rstrip().endswith("labelflow")
