"""The command as a user runs it: real processes, a real sandbox, a real (ephemeral) Prefect server."""

from __future__ import annotations

import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from labelflow.scale.client import ScaleClient
from tests.support.commands import COMMAND, ROOT, created_rows, run_command, running_command, wait_until
from tests.support.jobs import make_job, write_config
from tests.support.run_job import label
from tests.support.sandbox import running_in_process

COLLECT, CANCEL = ([sys.executable, "-m", f"flows.{name}"] for name in ("collect_responses", "cancel_dataset"))


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    with running_in_process() as url:
        yield url


def write_manifest_with_invalid_row(folder: Path, count: int) -> None:
    rows = [{"id": f"r{number}", "text": f"text {number}"} for number in range(count)]
    rows[1]["text"] = " "
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_run_labels_rows_and_prints_the_counts(tmp_path: Path, api: str, prefect_home: Path, prefect_api: str) -> None:
    """The first run starts a temporary Prefect server, as it does for a user who has none."""
    write_manifest_with_invalid_row(tmp_path, 1500)
    config = write_config(tmp_path, max_unlabeled="1%", scale={"url": api}, submit={"price_per_task": 0.5})
    outcome = run_command(config, home=prefect_home)
    assert outcome.returncode == 0, outcome.stderr
    assert "1,499 tasks created; cost of the job so far: 749.50" in outcome.stdout
    assert "rejected: row 2 (r1): attachment: is empty; use a non-empty string" in outcome.stdout
    assert outcome.stderr == ""
    assert len(pd.read_parquet(tmp_path / "out" / "labels")) == 1499

    again = run_command(config, home=prefect_home, PREFECT_API_URL=prefect_api)
    assert again.returncode == 0, again.stderr
    assert "nothing to create" in again.stdout

    strict = write_config(tmp_path, max_unlabeled=0, scale={"url": api})
    assert run_command(strict, home=prefect_home, PREFECT_API_URL=prefect_api).returncode == 1


def test_ctrl_c_records_created_tasks_and_prints_how_to_resume(
    tmp_path: Path, api: str, prefect_home: Path, prefect_api: str
) -> None:
    rows = 1500
    write_manifest_with_invalid_row(tmp_path, rows)
    job = {"name": "stopped", "max_unlabeled": "1%", "scale": {"url": api}}
    config = write_config(tmp_path, **job, submit={"rate": "50/s"})  # half a minute: it is stopped long before
    with running_command(config, home=prefect_home) as process:
        with ScaleClient("test_command", api) as client:
            wait_until(lambda: any(task.metadata["job"] == "stopped" for task in client.list_tasks()))
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=25)
    assert process.returncode == 130
    assert errors.splitlines()[-1].startswith("Stopped. Created tasks are recorded; to continue, run: python -m flows")
    assert "Traceback" not in errors
    with closing(sqlite3.connect(prefect_home / "prefect.db")) as database:
        states = database.execute("SELECT state_type FROM flow_run WHERE name = 'label-stopped'").fetchall()
    assert states == [("CANCELLED",)]
    recorded = pd.read_parquet(tmp_path / "out" / "_ledger" / "submissions")
    with ScaleClient("test_command", api) as client:
        created = [task for task in client.list_tasks() if task.metadata["job"] == "stopped"]
        assert 0 < len(created) < rows - 1
        assert {task.task_id for task in created} == set(recorded["task_id"])
        write_config(tmp_path, **job)
        assert run_command(config, home=prefect_home, PREFECT_API_URL=prefect_api).returncode == 0
        assert sum(task.metadata["job"] == "stopped" for task in client.list_tasks()) == rows - 1
    assert len(pd.read_parquet(tmp_path / "out" / "labels")) == rows - 1


def read_rows(folder: Path, name: str) -> list[str]:
    """The row ids below labels/ or errors/."""
    path = folder / name
    return sorted(pd.read_parquet(path)["row_id"]) if path.exists() and list(path.glob("*.parquet")) else []


def test_detached_jobs_are_collected_by_config_and_by_output_folder(
    tmp_path: Path, prefect_home: Path, prefect_api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "live_collected"
    monkeypatch.setenv("SCALE_API_KEY", key)
    write_manifest_with_invalid_row(tmp_path, 20)
    outputs = {name: tmp_path / "outputs" / name for name in ("one", "two")}
    environment = {"PREFECT_API_URL": prefect_api, "SCALE_API_KEY": key}
    with running_in_process(turnaround=2) as url:
        scale = {"url": url, "mode": "live"}
        for name, output in outputs.items():
            label(make_job(tmp_path, name=name, output=str(output), scale=scale), wait=False)
        with ScaleClient(key, url) as client:
            wait_until(lambda: all(task.status == "completed" for task in client.list_tasks()))
        config = write_config(tmp_path, name="one", output=str(outputs["one"]), scale=scale)
        by_config = run_command(config, home=prefect_home, command=COLLECT, **environment)
        assert by_config.returncode == 0, by_config.stderr
        assert [len(read_rows(output, "labels")) for output in outputs.values()] == [19, 0]
        environment["LABELFLOW_TRUSTED"] = url
        by_folder = run_command(tmp_path / "outputs", home=prefect_home, command=COLLECT, **environment)
        assert by_folder.returncode == 0, by_folder.stderr
    assert [len(read_rows(output, "labels")) for output in outputs.values()] == [19, 19]
    summaries = [json.loads((output / "summary.json").read_text()) for output in outputs.values()]
    assert [(numbers["labeled"], numbers["rejected"], numbers["pending"]) for numbers in summaries] == [(19, 1, 0)] * 2


def test_folder_without_a_job_is_reported_in_one_line(tmp_path: Path) -> None:
    for command in (COLLECT, CANCEL):
        outcome = run_command(tmp_path, home=tmp_path / "prefect", command=command)
        assert outcome.returncode == 2
        assert str(tmp_path) in outcome.stderr
        assert len(outcome.stderr.splitlines()) == 1
        assert not (tmp_path / "prefect").exists(), "Prefect was not imported"


def test_cancel_some_rows_then_all(
    tmp_path: Path, prefect_home: Path, prefect_api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "live_canceled"
    monkeypatch.setenv("SCALE_API_KEY", key)
    write_manifest_with_invalid_row(tmp_path, 20)
    (tmp_path / "withdrawn.txt").write_text("r3\nr4\nnowhere\n")
    environment = {"PREFECT_API_URL": prefect_api, "SCALE_API_KEY": key}
    with running_in_process(turnaround=3600) as url, ScaleClient(key, url) as client:
        config = write_config(tmp_path, scale={"url": url, "mode": "live"})
        label(make_job(tmp_path, scale={"url": url, "mode": "live"}), wait=False)
        rows = ["--rows", tmp_path / "withdrawn.txt"]
        some = run_command(config, *rows, "--yes", home=prefect_home, command=CANCEL, **environment)
        assert some.returncode == 0, some.stderr
        assert "2 tasks canceled" in some.stdout
        assert "not canceled, the row has no task: nowhere" in some.stdout
        assert read_rows(tmp_path / "out", "errors") == ["r3", "r4"]
        environment["LABELFLOW_TRUSTED"] = url
        rest = run_command(tmp_path / "out", "--yes", home=prefect_home, command=CANCEL, **environment)
        assert rest.returncode == 0, rest.stderr
        assert "17 tasks canceled, 0 had already finished, 2 were canceled before" in rest.stdout
        assert {task.status for task in client.list_tasks()} == {"canceled"}
    numbers = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (numbers["canceled"], numbers["rejected"], numbers["pending"]) == (19, 1, 0)


def test_changed_rows_are_relabeled_with_the_relabel_option(
    tmp_path: Path, api: str, prefect_home: Path, prefect_api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "test_relabeled"
    monkeypatch.setenv("SCALE_API_KEY", key)
    write_manifest_with_invalid_row(tmp_path, 20)
    label(make_job(tmp_path, scale={"url": api}))
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"text 5"', '"another text"'))
    config = write_config(tmp_path, scale={"url": api})
    relabel = [config, "--relabel", "changed"]
    preview = run_command(*relabel, "--dry-run", home=prefect_home, SCALE_API_KEY=key)
    assert "have a task" in preview.stdout
    assert len(created_rows(api, key)) == 19
    outcome = run_command(*relabel, home=prefect_home, PREFECT_API_URL=prefect_api, SCALE_API_KEY=key)
    assert outcome.returncode == 0, outcome.stderr
    assert "1 tasks created" in outcome.stdout
    assert Counter(created_rows(api, key))["r5"] == 2
    labels = pd.read_parquet(tmp_path / "out" / "labels").set_index("row_id")
    assert len(labels) == 19
    assert labels.loc["r5", "unique_id"] == "job#1/r5"
    assert labels.loc["r5", "attachment"] == "another text"


def test_dry_run_sends_nothing_and_needs_no_key_or_server(tmp_path: Path) -> None:
    write_manifest_with_invalid_row(tmp_path, 20)
    scale = {"url": "http://127.0.0.1:9"}
    config = write_config(tmp_path, submit={"price_per_task": 0.5}, scale=scale, max_unlabeled=0)
    outcome = run_command(config, "--dry-run", home=tmp_path / "prefect", SCALE_API_KEY="")
    assert outcome.returncode == 1, "a row would be rejected, and max_unlabeled is 0"
    assert "cost: 9.50" in outcome.stdout
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "prefect").exists(), "Prefect was not imported"


@pytest.mark.parametrize(
    ("changes", "environment", "words"),
    [
        ({"nmae": "x"}, {}, "did you mean `name`?"),
        ({"manifest__uri": "nowhere.jsonl"}, {}, "nowhere.jsonl: there is no such file"),
        ({"task__instruction": "{picture}"}, {}, "'picture'"),
        ({}, {"SCALE_API_KEY": "live_x"}, "the key is a live key"),
        ({}, {"SCALE_API_KEY": ""}, "SCALE_API_KEY is not set"),
        ({"scale__url": ...}, {"SCALE_API_URL": "http://127.0.0.1:9"}, "no connection to http://127.0.0.1:9"),
        ({"manifest__uri": "s3://nowhere/m.csv"}, {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "s3://nowhere/m.csv"),
    ],
)
def test_invalid_input_gives_one_message_and_exit_status_2(
    tmp_path: Path, api: str, changes: dict[str, object], environment: dict[str, str], words: str
) -> None:
    write_manifest_with_invalid_row(tmp_path, 3)
    aws = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}
    config = write_config(tmp_path, **{"scale__url": api, **changes})
    outcome = run_command(config, home=tmp_path / "prefect", command=COMMAND, **{**aws, **environment})
    assert outcome.returncode == 2
    assert words in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "prefect").exists(), "Prefect was not imported"


def test_help_works_without_prefect(tmp_path: Path) -> None:
    outcome = run_command("--help", home=tmp_path / "prefect")
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
def test_live_key_requires_confirmation_on_a_terminal(
    tmp_path: Path, api: str, answer: str | None, asked: bool
) -> None:
    """Asked before anything is sent, so a dead server shows how far it came; None stands for --yes."""
    write_manifest_with_invalid_row(tmp_path, 3)
    config = write_config(tmp_path, scale={"url": "http://127.0.0.1:9", "mode": "live"}, submit={"price_per_task": 0.1})
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
    first_line, _, rest = process.stdout.partition("\n")
    assert first_line == "http://127.0.0.1:9, mode live, key from SCALE_API_KEY"
    assert ("up to 3 paid tasks, cost up to 0.30" in rest) is asked
    assert process.returncode == 2
    assert process.stderr.startswith("scale.url: no connection" if answer in ("y", None) else "Nothing was sent.")
