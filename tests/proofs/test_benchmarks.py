"""The benchmarks run. Tests do not check what they measure."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.comparison import all_comparisons
from tests.support.commands import run_command, running_command

COMMAND = [sys.executable, "-m", "benchmarks"]


def test_every_comparison_runs_with_a_handful_of_rows(tmp_path: Path) -> None:
    with running_command("--quick", home=tmp_path, command=COMMAND) as process:
        output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    for comparison in all_comparisons().values():
        assert f"## {comparison.title}\n" in output
    assert "missed" not in output  # targets are not judged


def test_unknown_comparison_is_reported(tmp_path: Path) -> None:
    outcome = run_command("attachment", home=tmp_path, command=COMMAND)
    assert outcome.returncode == 2
    assert "unknown comparison 'attachment'; use one of attachments, " in outcome.stderr
