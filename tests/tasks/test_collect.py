"""A collection pass over open jobs as a Prefect flow: artifacts, events, and the effect of a job that fails."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import requests
from prefect import flow
from prefect.events import emit_event
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.collect_responses import collect_responses
from flows.label_dataset import label_dataset
from labelflow.accounting.progress import RunProgress
from labelflow.errors import InvalidInput
from labelflow.jobs.job import Job
from labelflow.ledger import context
from labelflow.ledger.ledger import Ledger
from labelflow.operations import closed_jobs, stall
from labelflow.operations.collect import CollectionFailed, CollectionResult
from labelflow.scale.client import ScaleClient
from labelflow.storage import s3
from tasks import events
from tasks.artifacts import ProgressArtifact, artifact_key, link
from tests.support.jobs import make_job, write_config
from tests.support.run_job import label
from tests.support.s3_servers import Bucket
from tests.support.sandbox import running_in_process, running_staged

ROWS = 8


@pytest.fixture(scope="module", autouse=True)
def use_prefect_server(prefect_api: str) -> Iterator[None]:
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        yield
        EventsWorker.drain_all(timeout=30)  # what is sent later would not find the server


@pytest.fixture(autouse=True)
def live_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "live_tasks")
    monkeypatch.setenv("LABELFLOW_TRUSTED", "")


def post_to_prefect(path: str, **body: Any) -> Any:
    """Return the response of Prefect's server to a POST."""
    answer = requests.post(f"{PREFECT_API_URL.value()}{path}", json=body, timeout=20)
    answer.raise_for_status()
    return answer.json()


@pytest.fixture
def completed_jobs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The jobs whose completion was emitted. The events are sent to Prefect as usual."""
    jobs: list[str] = []

    def recording(event: str, resource: dict[str, str], **more: Any) -> Any:
        if event == events.JOB_COMPLETED:
            jobs.append(resource["prefect.resource.name"])
        return emit_event(event, resource, **more)

    monkeypatch.setattr(events, "emit_event", recording)
    return jobs


def has_event(job: str, event: str) -> bool:
    """Whether Prefect's server has stored an event, which takes some seconds."""
    filters = {"event": {"name": [event]}, "resource": {"id": [f"labelflow.job.{job}"]}}
    since = {"occurred": {"since": "2020-01-01T00:00:00Z"}}
    deadline = time.monotonic() + 30
    while (
        not (found := post_to_prefect("/events/filter", filter={**filters, **since})["events"])
        and time.monotonic() < deadline
    ):
        time.sleep(0.5)
    return bool(found)


def artifact(key: str) -> dict[str, Any]:
    """Return the latest artifact with a key."""
    found = post_to_prefect("/artifacts/latest/filter", artifacts={"key": {"any_": [key]}})
    assert len(found) == 1, key
    return dict(found[0])


def create_job(folder: Path, url: str, name: str, root: str = "out", **changes: Any) -> Job:
    rows = [{"id": f"r{number}", "text": f"text {number}" if number else " "} for number in range(ROWS)]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    scale = {"url": url, "mode": "live"}
    output = str(folder / root / name)
    os.environ["LABELFLOW_TRUSTED"] = url  # until the end of the test, see `live_key`
    return make_job(folder, **{"name": name, "output": output, "scale": scale, "max_unlabeled": "100%", **changes})


def collect_until_complete(root: Path) -> list[CollectionResult]:
    deadline = time.monotonic() + 60
    while True:
        results = collect_responses(outputs=[str(root)])
        if all(result.is_complete for result in results):
            return results
        assert time.monotonic() < deadline


def test_failed_jobs_do_not_block_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tmp_path / "out"
    with running_in_process(turnaround=0) as url:
        for name in ("a", "damaged", "ledger", "mode", "z"):
            label(create_job(tmp_path, url, name), wait=False)
        (root / "damaged" / "_ledger" / "config.json").write_text("{")
        next((root / "ledger" / "_ledger" / "submissions").iterdir()).write_bytes(b"no Parquet")
        config = json.loads((root / "mode" / "_ledger" / "config.json").read_text())
        config["scale"]["mode"] = "test"
        (root / "mode" / "_ledger" / "config.json").write_text(json.dumps(config))
        with pytest.raises(CollectionFailed) as raised:
            collect_responses(outputs=[str(root)])
    assert caplog.messages.count(f"{url}, mode live, key from SCALE_API_KEY") == 1
    error = raised.value
    assert [result.job for result in error.collected] == ["a", "z"]
    assert len(pd.read_parquet(root / "z" / "labels")) == ROWS - 1
    lines = str(error).splitlines()
    assert lines[0] == "2 of 4 jobs failed:"
    assert "damaged/_ledger/config.json is corrupt; run label_dataset to rewrite it" in lines[1]
    assert lines[2].startswith(f"ledger ({root}/ledger): ")
    assert len(lines) == 3, "a job of the other mode is skipped"
    runs = post_to_prefect("/flow_runs/filter", sort="START_TIME_DESC", limit=1)
    assert runs[0]["name"] == f"collect-{root}"
    assert runs[0]["state"]["type"] == "FAILED"
    assert f"ledger ({root}/ledger)" in runs[0]["state"]["message"]


def test_internal_error_in_one_job_does_not_block_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_in_process(turnaround=0) as url:
        jobs = [create_job(tmp_path, url, name) for name in ("bad", "good")]
        for job in jobs:
            label(job, wait=False)
        (tmp_path / "out" / "bad" / "_ledger" / "watermark.json").unlink(missing_ok=True)
        monkeypatch.setattr(context, "read_key", lambda job: "live_tasks" if job.name == "good" else 1 / 0)
        with pytest.raises(CollectionFailed, match=r"bad .*: internal error: ZeroDivisionError") as raised:
            collect_responses(jobs=jobs)
        assert [result.job for result in raised.value.collected] == ["good"]


def test_completed_job_emits_one_event_and_sends_no_more_requests(
    tmp_path: Path, completed_jobs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    opened: list[str] = []
    with running_in_process(turnaround=0.1) as url:
        label(create_job(tmp_path, url, "once"), wait=False)
        collect_until_complete(tmp_path / "out")
        assert completed_jobs == ["once"]
        record_calls(monkeypatch, ScaleClient, "_send", asked)
        record_calls(monkeypatch, Ledger, "load", opened)
        [again] = collect_responses(outputs=[str(tmp_path / "out")])
        assert (again.was_skipped, asked, opened) == (True, [], [])
        assert completed_jobs == ["once"]
        label(
            create_job(tmp_path, url, "once", manifest={"uri": submit_one_more_row(tmp_path), "row_id": "id"}),
            wait=False,
        )
        collect_until_complete(tmp_path / "out")
        assert opened
        assert completed_jobs == ["once", "once"], "with more rows it completes again"
    assert has_event("once", events.JOB_COMPLETED)
    assert has_event("once", events.LABELS_WRITTEN)


def record_calls(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, calls: list[str]) -> None:
    """Record the calls of a function, and execute them."""
    function = getattr(owner, name)

    def recording(*args: Any) -> Any:
        calls.append(name)
        return function(*args)

    monkeypatch.setattr(owner, name, recording)


def submit_one_more_row(folder: Path) -> str:
    longer = folder / "longer.jsonl"
    longer.write_text((folder / "manifest.jsonl").read_text() + json.dumps({"id": "more", "text": "more"}) + "\n")
    return str(longer)


def test_completion_emitted_but_not_recorded_is_emitted_again(
    tmp_path: Path, completed_jobs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: Any) -> None:
        raise OSError("as if the process had died here")

    with running_in_process(turnaround=0) as url:
        label(create_job(tmp_path, url, "twice"), wait=False)
        with monkeypatch.context() as dying:
            dying.setattr(closed_jobs, "close", dies)
            collect_until_complete(tmp_path / "out")
        assert completed_jobs == ["twice"]
        collect_responses(outputs=[str(tmp_path / "out")])
        assert completed_jobs == ["twice", "twice"]
        collect_responses(outputs=[str(tmp_path / "out")])
        assert completed_jobs == ["twice", "twice"]


def test_completion_that_was_not_emitted_is_not_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_in_process(turnaround=0) as url:
        label(create_job(tmp_path, url, "untold"), wait=False)
        monkeypatch.setattr(events, "emit_event", lambda *_, **__: None)
        collect_until_complete(tmp_path / "out")
    assert not (tmp_path / "out" / "untold" / closed_jobs.FILE).exists()


def test_stalled_job_is_reported_until_an_answer_arrives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emitted: list[dict[str, Any]] = []

    def recording(event: str, payload: dict[str, Any], **more: Any) -> Any:
        if event == events.JOB_STALLED:
            emitted.append(payload)
        return emit_event(event, payload=payload, **more)

    monkeypatch.setattr(events, "emit_event", recording)
    with running_staged() as sandbox:
        label(create_job(tmp_path, sandbox.url, "quiet"), wait=False)
        root = str(tmp_path / "out")
        collect_responses(outputs=[root])
        mark = tmp_path / "out" / "quiet" / stall.FILE
        three_days_ago = time.time() - 3 * 86_400
        os.utime(mark, (three_days_ago, three_days_ago))
        [result] = collect_responses(outputs=[root])
        assert "quiet: no answer for 3.0 days, 7 tasks pending" in result.warnings[0]
        sandbox.complete(1)
        [after] = collect_responses(outputs=[root])
    assert (after.labeled, after.stalled_for, after.warnings) == (1, None, [])
    assert [(payload["waiting"], payload["output"]) for payload in emitted] == [(7, f"{root}/quiet")]
    assert 3 * 86_400 <= emitted[0]["seconds"] < 3 * 86_400 + 60
    assert has_event("quiet", events.JOB_STALLED)


def test_label_flow_takes_a_config_file_from_disk_or_s3(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "test_config")
    with running_in_process() as url:
        monkeypatch.setenv("SCALE_API_URL", url)
        create_job(tmp_path, url, "unused")
        config = write_config(tmp_path, scale={}, name="nightly", max_unlabeled="50%")
        s3.put_bytes(bucket.uri("nightly.yaml"), config.read_bytes())
        assert label_dataset(config=str(config)).labeled == ROWS - 1
        assert label_dataset(config=bucket.uri("nightly.yaml")).created == 0
    runs = post_to_prefect("/flow_runs/filter", sort="START_TIME_DESC", limit=2)
    assert {run["name"] for run in runs} == {"label-job", "label-nightly"}, "named like the files"
    with pytest.raises(InvalidInput, match="neither of `job` and `config` were given; give one of them"):
        label_dataset()
    with pytest.raises(InvalidInput, match="both of `job` and `config` were given; give one of them"):
        label_dataset(create_job(tmp_path, url, "both"), config=str(config))


def test_progress_of_a_detached_run_is_continued_to_the_end(tmp_path: Path) -> None:
    with running_staged() as sandbox:
        summary = label_dataset(create_job(tmp_path, sandbox.url, "bar"), wait=False)
        assert summary.pending == ROWS - 1
        bar_of_run = artifact("label-bar-progress")
        assert bar_of_run["data"] < 100
        sandbox.complete(ROWS)
        collect_until_complete(tmp_path / "out")
    final_bar = artifact("label-bar-progress")
    assert (final_bar["id"], final_bar["data"]) == (bar_of_run["id"], 100)
    files = artifact("label-bar-files")["data"]
    assert f"[`{tmp_path}/out/bar/labels/`](file://{tmp_path}/out/bar/labels/)" in files


def test_progress_of_a_waiting_run_ends_with_the_run(tmp_path: Path, completed_jobs: list[str]) -> None:
    with running_in_process(turnaround=0) as url:
        job = create_job(tmp_path, url, "Short_run", collect={"poll_interval": "0.1s"})
        label_dataset(job)
    assert artifact(f"{artifact_key('Short_run')}-progress")["data"] == 100
    [again] = collect_responses(jobs=[job])
    assert again.was_skipped
    assert completed_jobs == ["Short_run"]
    runs = post_to_prefect("/flow_runs/filter", sort="START_TIME_DESC", limit=1)
    assert runs[0]["name"] == "collect-Short_run"


def test_final_progress_is_always_shown() -> None:
    @flow
    def work() -> None:
        progress, counts = ProgressArtifact("soon"), RunProgress()
        counts.add(read=10, total=10, submitted=10, finished=2)
        progress.show(counts)
        counts.add(finished=3)
        progress.show(counts)
        assert artifact("label-soon-progress")["data"] == 20, "it is not updated at every pass"
        counts.add(finished=5, labeled=10)
        progress.show(counts)

    work()
    assert artifact("label-soon-progress")["data"] == 100


def test_each_job_has_its_own_artifact_key() -> None:
    names = ["a.b", "a_b", "A-b", "a-b", "A.B", "a--b", "-a-b"]
    keys = [artifact_key(name) for name in names]
    assert len(set(keys)) == len(names)
    assert artifact_key("street-boxes") == "label-street-boxes"
    assert all(key.replace("-", "").isalnum() and key == key.lower() for key in keys)


def test_files_are_shown_as_links_where_possible() -> None:
    assert link("s3://bucket/my labels/labels/") == "[`s3://bucket/my labels/labels/`](s3://bucket/my%20labels/labels/)"
    assert link("/data/out (1)/labels/") == "[`/data/out (1)/labels/`](file:///data/out%20%281%29/labels/)"
    assert link("out/summary.json") == f"[`out/summary.json`](file://{Path.cwd()}/out/summary.json)"
