"""Deployments: a Prefect server, a work pool, workers that are killed, prefect.yaml, and a sandbox."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import requests
import yaml
from prefect.cli.deploy._models import PrefectYamlModel
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.client.schemas.schedules import CronSchedule
from prefect.utilities.schema_tools import validate

from labelflow.sandbox.testing import running
from tests.support.commands import ROOT, created_rows, environment, wait_until
from tests.support.prefect_server import running_prefect_server

KEY = "live_deployments"
CHECKOUT_FILES = ("flows", "tasks", "labelflow", "prefect.yaml")


class PrefectInstallation:
    """A Prefect server with the deployments of a checkout."""

    def __init__(self, folder: Path, api: str) -> None:
        self.folder = folder
        self.checkout = folder / "checkout"
        self.api = api
        self.environment = environment(
            folder / "prefect",
            PREFECT_API_URL=self.api,
            PREFECT_SERVER_ANALYTICS_ENABLED="false",
            DO_NOT_TRACK="1",
            SCALE_API_KEY=KEY,
        )

    def prefect(self, *arguments: str) -> str:
        """The output of a `prefect` command."""
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            cwd=self.checkout,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def post(self, path: str, **body: Any) -> Any:
        """The response of the server's API to a POST."""
        answer = requests.post(f"{self.api}{path}", json=body, timeout=20)
        answer.raise_for_status()
        return answer.json()

    def run_deployment(self, deployment: str, **parameters: Any) -> None:
        """Start a run of a deployment."""
        given = [word for name, value in parameters.items() for word in ("--param", f"{name}={json.dumps(value)}")]
        self.prefect("deployment", "run", deployment, *given)

    def flow_run_states(self, flow: str) -> Counter[str]:
        """The states of the runs of a flow."""
        runs = self.post("/flow_runs/filter", flows={"name": {"any_": [flow]}})
        return Counter(run["state"]["type"] for run in runs)

    @contextmanager
    def running_worker(self, **more: str) -> Iterator[subprocess.Popen[bytes]]:
        """A worker in an empty working folder."""
        home = self.folder / f"worker-{time.monotonic_ns()}"
        home.mkdir()
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "local-process"]
        with (home / "log.txt").open("wb") as log:
            process = subprocess.Popen(
                [*command], cwd=home, env={**self.environment, **more}, stdout=log, stderr=log, start_new_session=True
            )
        try:
            yield process
        finally:
            kill_process_group(process)


def kill_process_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its child processes, like a machine that fails."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory, prefect_home_template: Path) -> Iterator[PrefectInstallation]:
    folder = tmp_path_factory.mktemp("installation")
    shutil.copytree(prefect_home_template, folder / "prefect")
    with running_prefect_server(folder / "prefect") as api:
        there = PrefectInstallation(folder, api)
        there.checkout.mkdir()
        for name in CHECKOUT_FILES:
            source = ROOT / name
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, there.checkout / name)
        there.prefect("work-pool", "create", "local-process", "--type", "process")
        there.prefect("--no-prompt", "deploy", "--all")
        yield there


def job_parameters(folder: Path, name: str, url: str, output: Path, rows: int, **changes: Any) -> dict[str, Any]:
    """A job as a parameter of the deployment; its first row is invalid."""
    manifest = folder / f"{name}.jsonl"
    lines = [{"id": f"r{number}", "text": f"text {number}" if number else " "} for number in range(rows)]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    task = {"type": "categorization", "instruction": "What is it about?", "attachment_type": "text"}
    return {
        "name": name,
        "manifest": {"uri": str(manifest), "row_id": "id"},
        "task": {**task, "attachment": "{text}", "categories": ["a", "b"]},
        "output": str(output / name),
        "scale": {"url": url, "mode": "live"},
        "collect": {"poll_interval": "1s"},
        "max_unlabeled": "10%",
        **changes,
    }


def read_summary(output: Path, name: str) -> dict[str, Any]:
    path = output / name / "summary.json"
    return dict(json.loads(path.read_text())) if path.exists() else {"pending": None}


def test_worker_submits_a_job_and_the_scheduled_collector_completes_it(
    prefect: PrefectInstallation, tmp_path: Path
) -> None:
    output = prefect.checkout / "out"
    with running(turnaround=4) as url, prefect.running_worker(LABELFLOW_TRUSTED=url):
        config = tmp_path / "scheduled.yaml"
        config.write_text(yaml.safe_dump(job_parameters(tmp_path, "scheduled", url, output, 120)))
        prefect.run_deployment("label-dataset/label", config=str(config))
        prefect.prefect("deployment", "schedule", "create", "collect-responses/collect", "--interval", "8", "--active")
        wait_until(lambda: read_summary(output, "scheduled")["pending"] == 0, 150)
        wait_until(lambda: prefect.flow_run_states("label-dataset")["COMPLETED"] == 1, 30)
        wait_until(lambda: prefect.flow_run_states("collect-responses")["COMPLETED"] >= 1, 30)
        exported = tmp_path / "csv"
        prefect.run_deployment("export-labels/export", output=str(output / "scheduled"), to="csv", dest=str(exported))
        wait_until(lambda: prefect.flow_run_states("export-labels")["COMPLETED"] == 1, 60)
    assert len(pd.read_csv(exported / "labels.csv")["row_id"].unique()) == 119
    labels = pd.read_parquet(output / "scheduled" / "labels")
    assert sorted(labels["row_id"]) == sorted(f"r{number}" for number in range(1, 120))
    keys = {artifact["key"] for artifact in prefect.post("/artifacts/filter")}
    assert {f"label-scheduled-{name}" for name in ("progress", "counts", "unlabeled", "files")} <= keys
    filters = {"event": {"prefix": ["labelflow."]}, "occurred": {"since": "2020-01-01T00:00:00Z"}}
    wait_until(lambda: {"labelflow.labels.written", "labelflow.job.completed"} <= find_events(prefect, filters), 30)
    names = {run["name"] for run in prefect.post("/flow_runs/filter")}
    assert "label-scheduled" in names


def find_events(prefect: PrefectInstallation, filters: dict[str, Any]) -> set[str]:
    return {str(event["event"]) for event in prefect.post("/events/filter", filter=filters)["events"]}


def test_another_worker_resumes_after_a_worker_is_killed(prefect: PrefectInstallation, tmp_path: Path) -> None:
    output, rows = tmp_path / "out", 300
    with running(turnaround=1) as url:
        given = job_parameters(tmp_path, "killed", url, output, rows, submit={"rate": "30/s"})
        with prefect.running_worker() as worker:
            prefect.run_deployment("label-dataset/label", job=given)
            wait_until(lambda: len(created_rows(url, KEY)) > 40, 90)
            kill_process_group(worker)
        before = len(created_rows(url, KEY))
        assert 40 < before < rows - 1, "killed in the middle"
        with prefect.running_worker():
            prefect.run_deployment("label-dataset/label", job=given, wait=True)
            wait_until(lambda: read_summary(output, "killed")["pending"] == 0, 120)
        tasks = Counter(created_rows(url, KEY))
    assert tasks == Counter(f"r{number}" for number in range(1, rows))
    assert len(pd.read_parquet(output / "killed" / "labels")) == rows - 1


def test_run_canceled_in_prefect_then_its_tasks_are_canceled(prefect: PrefectInstallation, tmp_path: Path) -> None:
    output, rows = tmp_path / "out", 1500
    with running(turnaround=3600) as url, prefect.running_worker(LABELFLOW_TRUSTED=url):
        prefect.run_deployment(
            "label-dataset/label", job=job_parameters(tmp_path, "withdrawn", url, output, rows, submit={"rate": "30/s"})
        )
        wait_until(lambda: len(created_rows(url, KEY)) > 40, 90)
        (run,) = prefect.post("/flow_runs/filter", flow_runs={"name": {"any_": ["label-withdrawn"]}})
        prefect.prefect("flow-run", "cancel", run["id"])
        wait_until(lambda: prefect.flow_run_states("label-dataset")["CANCELLED"] == 1, 90)
        marks = output / "withdrawn" / "_ledger" / "runs"
        wait_until(lambda: all(json.loads(mark.read_text())["released"] for mark in marks.glob("*.json")), 30)
        created = created_rows(url, KEY)
        assert 40 < len(created) < rows - 1, "canceled in the middle"
        recorded = pd.read_parquet(output / "withdrawn" / "_ledger" / "submissions")["row_id"]
        assert sorted(created) == sorted(recorded)
        prefect.run_deployment("cancel-dataset/cancel", output=str(output / "withdrawn"))
        wait_until(lambda: prefect.flow_run_states("cancel-dataset")["COMPLETED"] == 1, 90)
        assert len(created_rows(url, KEY)) == len(created)
    errors = pd.read_parquet(output / "withdrawn" / "errors")
    assert sorted(errors["row_id"]) == sorted(created)


def test_job_exceeding_its_limits_fails_with_the_reason(prefect: PrefectInstallation, tmp_path: Path) -> None:
    with running(turnaround=0) as url, prefect.running_worker():
        given = job_parameters(tmp_path, "limited", url, tmp_path / "out", 20, max_unlabeled=0)
        before = prefect.flow_run_states("label-dataset")["FAILED"]
        prefect.run_deployment("label-dataset/label", job=given, wait=True)
        wait_until(lambda: prefect.flow_run_states("label-dataset")["FAILED"] == before + 1, 90)
    runs = prefect.post("/flow_runs/filter", flow_runs={"name": {"any_": ["label-limited"]}})
    assert "1 of 20 rows ended without a label, above max_unlabeled (0)" in runs[0]["state"]["message"]


def test_invalid_job_is_rejected_by_the_deployment_form(prefect: PrefectInstallation, tmp_path: Path) -> None:
    given = job_parameters(
        tmp_path, "bad", "http://127.0.0.1:9/v1", tmp_path / "out", 3, collect={"poll_interval": "soon"}
    )
    with pytest.raises(AssertionError, match=r"Validation failed for field\s+'job\.collect\.poll_interval'"):
        prefect.run_deployment("label-dataset/label", job=given)


@pytest.fixture(scope="module")
def deployments() -> dict[str, dict[str, Any]]:
    """The deployments of prefect.yaml by name."""
    document = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    return {str(deployment["name"]): deployment for deployment in document["deployments"]}


def load_flow(deployment: dict[str, Any]) -> Any:
    module, _, name = deployment["entrypoint"].rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_prefect_yaml_has_no_settings_that_prefect_ignores() -> None:
    """Prefect ignores unknown keys: its own model must contain every key of the file."""
    document = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    del document["definitions"]  # for YAML's anchors only
    understood = PrefectYamlModel.model_validate(document)
    assert understood.model_dump(by_alias=True, exclude_unset=True) == document


def test_prefect_yaml_has_values_that_prefect_accepts(deployments: dict[str, dict[str, Any]]) -> None:
    assert set(deployments) == {"label", "collect", "cancel", "export"}
    for deployment in deployments.values():
        flow = load_flow(deployment)
        assert deployment["description"]
        assert deployment["work_pool"] == {"name": "local-process"}
        assert set(deployment.get("parameters", {})) <= set(flow.parameters.properties)
        schema = flow.parameters.model_dump_for_openapi()
        validate(deployment.get("parameters", {}), schema, raise_on_error=True, ignore_required=True)
        for parameter, described in flow.parameters.properties.items():
            named = str(described.get("$ref", "")).rpartition("/")[2]  # a model says for itself what it is
            described = flow.parameters.definitions.get(named, described)
            assert described.get("description"), f"{flow.name}({parameter}) has no description in the form"


def test_collector_is_scheduled_every_15_minutes_without_overlap(
    deployments: dict[str, dict[str, Any]],
) -> None:
    (schedule,) = deployments["collect"]["schedules"]
    assert schedule["active"] is True
    assert CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"]).cron == "*/15 * * * *"
    limit = dict(deployments["collect"]["concurrency_limit"])
    assert limit.pop("limit") == 1
    assert ConcurrencyOptions.model_validate(limit).collision_strategy == "CANCEL_NEW"
    assert not any("schedules" in deployments[name] for name in ("label", "cancel"))
