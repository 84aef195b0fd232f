"""The command as a user runs it: real processes, a real sandbox, a real (ephemeral) Prefect server."""

from __future__ import annotations

import json
import os
import pty
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from sandbox.server import running
from scale.client import ScaleClient
from tests.acceptance.commands import until
from tests.labeling.jobs import write_config

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    with running() as url:
        yield url


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home for Prefect, for the tests that start one: making its database takes seconds."""
    return tmp_path_factory.mktemp("prefect")


def start(*arguments: object, home: Path, **environment: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "SCALE_", "AWS_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "flows.label_dataset", *map(str, arguments)],
        cwd=ROOT,
        env={**kept, "PREFECT_HOME": str(home), "SCALE_API_KEY": "test_command", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments: object, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    with start(*arguments, home=home, **environment) as process:
        output, errors = process.communicate(timeout=150)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def write_manifest(folder: Path, count: int) -> None:
    rows = [{"id": f"r{number}", "text": f"text {number}"} for number in range(count)]
    rows[1]["text"] = " "
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_run_labels_and_says_so_in_numbers(tmp_path: Path, api: str, home: Path) -> None:
    write_manifest(tmp_path, 1500)
    config = write_config(tmp_path, max_rejected="1%", scale={"url": api}, submit={"price_per_task": 0.5})
    outcome = run(config, home=home)
    assert outcome.returncode == 0, outcome.stderr
    assert "1,499 tasks created; 749.50 for the job so far" in outcome.stdout
    assert "rejected: row 2 (r1): attachment: is empty; give it a text" in outcome.stdout
    assert outcome.stderr == ""
    assert len(pd.read_parquet(tmp_path / "out" / "labels")) == 1499

    again = run(config, home=home)
    assert again.returncode == 0, again.stderr
    assert "nothing to create" in again.stdout

    strict = write_config(tmp_path, max_rejected=0, scale={"url": api})
    assert run(strict, home=home).returncode == 1


def test_ctrl_c_records_what_was_created_and_says_how_to_go_on(tmp_path: Path, api: str, home: Path) -> None:
    write_manifest(tmp_path, 2500)
    scale = {"url": api}
    config = write_config(tmp_path, name="stopped", max_rejected="1%", scale=scale, submit={"rate": "300/s"})
    with start(config, home=home) as process:
        with ScaleClient("test_command", api) as client:
            until(lambda: any(task.metadata["job"] == "stopped" for task in client.list_tasks()))
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=25)
    assert process.returncode == 130
    assert errors.splitlines()[-1].startswith("Stopped. What was created is recorded; go on with: python -m flows")
    assert "Traceback" not in errors
    recorded = pd.read_parquet(tmp_path / "out" / "_ledger" / "submissions")
    with ScaleClient("test_command", api) as client:
        created = [task for task in client.list_tasks() if task.metadata["job"] == "stopped"]
        assert 0 < len(created) < 2499
        assert {task.task_id for task in created} == set(recorded["task_id"])
        assert run(config, home=home).returncode == 0
        assert sum(task.metadata["job"] == "stopped" for task in client.list_tasks()) == 2499
    assert len(pd.read_parquet(tmp_path / "out" / "labels")) == 2499


def test_a_dry_run_sends_nothing_and_needs_no_key_and_no_server(tmp_path: Path) -> None:
    write_manifest(tmp_path, 20)
    scale = {"url": "http://127.0.0.1:9"}
    config = write_config(tmp_path, submit={"price_per_task": 0.5}, scale=scale, max_rejected=0)
    outcome = run(config, "--dry-run", home=tmp_path / "prefect", SCALE_API_KEY="")
    assert outcome.returncode == 1, "a row would be rejected, and max_rejected is 0"
    assert "cost: 9.50" in outcome.stdout
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "prefect").exists(), "Prefect was not needed"


@pytest.mark.parametrize(
    ("changes", "environment", "words"),
    [
        ({"nmae": "x"}, {}, "did you mean `name`?"),
        ({"manifest__uri": "nowhere.jsonl"}, {}, "nowhere.jsonl: there is no such file"),
        ({"task__instruction": "{picture}"}, {}, "'picture'"),
        ({}, {"SCALE_API_KEY": "live_x"}, "the key is a live key"),
        ({}, {"SCALE_API_KEY": ""}, "holds no SCALE_API_KEY"),
        ({}, {"SCALE_API_URL": "http://127.0.0.1:9"}, "no connection to http://127.0.0.1:9"),
        ({"manifest__uri": "s3://nowhere/m.csv"}, {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "s3://nowhere/m.csv"),
    ],
)
def test_bad_input_is_one_message_and_status_2(
    tmp_path: Path, api: str, changes: dict[str, object], environment: dict[str, str], words: str
) -> None:
    write_manifest(tmp_path, 3)
    aws = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
    config = write_config(tmp_path, **{"scale__url": api, **changes})
    outcome = run(config, home=tmp_path / "prefect", **{**aws, **environment})
    assert outcome.returncode == 2
    assert words in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "prefect").exists(), "Prefect was not imported"


def test_help_answers_without_prefect(tmp_path: Path) -> None:
    outcome = run("--help", home=tmp_path / "prefect")
    assert outcome.returncode == 0
    for option in ("--manifest", "--output", "--limit", "--dry-run", "--no-wait"):
        assert option in outcome.stdout
    code = (
        "import sys, runpy\nsys.argv = ['x', '--help']\n"
        "try: runpy.run_module('flows.label_dataset', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "sys.exit('prefect' in sys.modules or 'pyarrow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True).returncode == 0


@pytest.mark.parametrize(("answer", "asked"), [("n", True), ("", True), ("y", True), (None, False)])
def test_a_live_key_needs_a_yes_on_a_terminal(tmp_path: Path, api: str, answer: str | None, asked: bool) -> None:
    """Asked before anything is sent, so a dead server shows how far it came; None stands for --yes."""
    write_manifest(tmp_path, 3)
    config = write_config(tmp_path, scale={"url": "http://127.0.0.1:9", "mode": "live"}, submit={"max_tasks": 7})
    terminal, user = pty.openpty()
    os.write(terminal, f"{answer}\n".encode() if answer is not None else b"")
    process = subprocess.run(
        [sys.executable, "-m", "flows.label_dataset", str(config), *([] if asked else ["--yes"])],
        cwd=ROOT,
        env={**os.environ, "SCALE_API_KEY": "live_x", "PREFECT_HOME": str(tmp_path / "prefect")},
        stdin=user,
        capture_output=True,
        text=True,
        timeout=60,
    )
    os.close(terminal)
    os.close(user)
    assert ("7 at most" in process.stdout) is asked
    assert process.returncode == 2
    assert process.stderr.startswith("scale.url: no connection" if answer in ("y", None) else "Nothing was sent.")


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name)
def test_the_commands_in_the_docs_exist(page: Path, tmp_path: Path) -> None:
    """Every `python -m` and `make` line of a page names a module, options and targets that are there."""
    targets = {line.split(":")[0] for line in (ROOT / "Makefile").read_text().splitlines() if ":" in line}
    for line in page.read_text().splitlines():
        is_command = line.startswith(("$ ", "python", "make "))
        words = shlex.split(line.removeprefix("$ "), comments=True) if is_command else []
        if words[:2] == ["python", "-m"]:
            known = subprocess.run([sys.executable, "-m", words[2], "--help"], cwd=ROOT, capture_output=True, text=True)
            assert known.returncode == 0, line
            for option in [word.strip("[]") for word in words[3:] if word.strip("[]").startswith("--")]:
                assert option in known.stdout, line
        elif words[:1] == ["make"]:
            assert words[1] in targets, line
