"""The console script `labelflow`: its commands, and what it imports."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from labelflow import __main__ as console_script
from labelflow.cli import signals
from tests.support.commands import ROOT, run_command
from tests.support.jobs import write_config

LABELFLOW = [sys.executable, "-m", "labelflow"]


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_project_installs_the_console_script() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"labelflow": "labelflow.__main__:main"}
    assert callable(console_script.main)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["label", "--help"]], ids=" ".join)
def test_help_and_version_import_neither_prefect_nor_arrow(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom labelflow.__main__ import main\n"
        f"try: main({arguments})\nexcept SystemExit as end: assert not end.code\n"
        "sys.exit(str({'prefect', 'pyarrow'} & set(sys.modules) or '') or 0)"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(("usage: labelflow", "labelflow "))


def test_help_names_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        console_script.main(["--help"])
    assert end.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert list(console_script.RUN) == [command.name for command in console_script.COMMANDS]
    for command in console_script.COMMANDS:
        assert f"{command.name} {command.summary}" in shown


@pytest.mark.parametrize("command", [command.name for command in console_script.COMMANDS])
def test_each_command_names_itself_in_its_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        console_script.main([command, "--help"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: labelflow {command} ")


def test_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        console_script.main(["lable"])
    assert end.value.code == 2
    assert "'lable'" in capsys.readouterr().err


def test_command_runs_its_flow(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text('{"id": "a", "text": "x"}\n')
    config = write_config(tmp_path)
    outcome = run_command("label", config, "--dry-run", home=tmp_path / "prefect", command=LABELFLOW)
    assert outcome.returncode == 0, outcome.stderr
    assert "dry run, nothing was sent" in outcome.stdout
    outcome = run_command("collect", tmp_path, home=tmp_path / "prefect", command=LABELFLOW)
    assert (outcome.returncode, outcome.stderr.count("contains no job")) == (2, 1)


def test_arrow_uses_the_memory_pool_of_the_system() -> None:
    code = (
        "from labelflow.__main__ import main\n"
        "try: main(['status', '/nowhere'])\nexcept SystemExit: pass\n"
        "import pyarrow; print(pyarrow.default_memory_pool().backend_name)"
    )
    assert run_python(code).stdout.splitlines()[-1] == "system"


def test_only_the_console_script_imports_the_flows() -> None:
    for path in (ROOT / "labelflow").rglob("*.py"):
        modules = {
            name.split(".")[0]
            for node in ast.walk(ast.parse(path.read_text()))
            for name in (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else []
            )
        }
        above = modules & {"flows", "tasks"}
        assert not above or path == ROOT / "labelflow" / "__main__.py", path


def test_message_names_the_command_as_it_was_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/venv/bin/labelflow", "label", "my job.yaml"])
    assert signals.command_line() == "labelflow label 'my job.yaml'"
    monkeypatch.setattr(sys, "argv", ["/src/flows/label_dataset.py", "job.yaml"])
    monkeypatch.setattr(sys, "orig_argv", ["/venv/bin/python", "-m", "flows.label_dataset", "job.yaml"])
    assert signals.command_line() == "python -m flows.label_dataset job.yaml"
