"""A rejects file as a manifest: it holds no signature, and its rows get the signature back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from labelflow.jobs.config import load_job
from labelflow.jobs.job import Job
from labelflow.planning.urls import restored_signatures
from labelflow.planning.urls.restored_signatures import open_job_manifest
from labelflow.scale.client import ScaleClient
from labelflow.scale.models import Task
from tests.conftest import StubServer
from tests.support.jobs import write_config
from tests.support.media_server import picture
from tests.support.run_job import label
from tests.support.sandbox import running_in_process

KEY, SECRET = "test_rejects_manifest", "5e3c7eb1"
SIGNATURE = f"X-Amz-Credential=AKIA&X-Amz-Signature={SECRET}"
TASK = {"type": "annotation", "attachment": "{image}", "objects_to_annotate": ["car"]}


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    with running_in_process() as url:
        yield url


@pytest.fixture
def images(stub_server: StubServer, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The paths of images that exist. Their server requires the signature."""
    monkeypatch.setenv("SCALE_API_KEY", KEY)
    existing: set[str] = set()

    def respond(_: str, path: str, __: bytes) -> tuple[int, Any, dict[str, str]]:
        name, _, query = path.partition("?")
        found = name in existing and query == SIGNATURE
        return (200, picture(), {"Content-Type": "image/png"}) if found else (403, {}, {})

    stub_server.respond = respond
    return existing


def write_manifest(folder: Path, url: str, count: int = 3, start: int = 0) -> None:
    rows = [{"id": f"r{number}", "image": f"{url}/{number}.png?{SIGNATURE}"} for number in range(start, count)]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(folder: Path, api: str, manifest: str | None = None) -> Job:
    """Label with the config file of the job, as the command does."""
    config = write_config(folder, name=folder.name[-40:], task=TASK, scale={"url": api}, max_unlabeled="100%")
    job = load_job(str(config), manifest=manifest)
    label(job)
    return job


def tasks_of(job: Job, api: str) -> dict[str, Task]:
    with ScaleClient(KEY, api) as client:
        return {task.metadata["row_id"]: task for task in client.list_tasks() if task.metadata["job"] == job.name}


def rejects(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "out" / "rejects")


def attachment(task: Task) -> str:
    return str(task.raw["params"]["attachment"])


def to_csv(folder: Path) -> str:
    rejects(folder).to_csv(folder / "fixed.csv", index=False)
    return str(folder / "fixed.csv")


def to_jsonl(folder: Path) -> str:
    rejects(folder).iloc[::-1].to_json(folder / "fixed.jsonl", orient="records", lines=True)
    return str(folder / "fixed.jsonl")


@pytest.mark.parametrize("repaired", [lambda folder: str(folder / "out/rejects/rejects.parquet"), to_csv, to_jsonl])
def test_row_of_a_rejects_file_gets_its_signature_back(
    tmp_path: Path,
    api: str,
    stub_server: StubServer,
    images: set[str],
    repaired: Callable[[Path], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(restored_signatures, "BATCH_ROWS", 1)
    write_manifest(tmp_path, stub_server.url)
    images.add("/1.png")
    run(tmp_path, api)
    first = rejects(tmp_path)
    assert list(first["reject_row_id"]) == ["r0", "r2"]
    assert SECRET not in first.to_csv()
    for available, left in (({"/2.png"}, ["r0"]), ({"/0.png"}, [])):
        images |= available
        job = run(tmp_path, api, repaired(tmp_path))
        files = list((tmp_path / "out" / "rejects").glob("*.parquet"))
        assert (list(rejects(tmp_path)["reject_row_id"]) if files else []) == left
    assert {row_id: attachment(task) for row_id, task in tasks_of(job, api).items()} == {
        f"r{number}": f"{stub_server.url}/{number}.png?{SIGNATURE}" for number in range(3)
    }
    run(tmp_path, api)
    assert len(tasks_of(job, api)) == 3


def test_edited_value_is_kept(tmp_path: Path, api: str, stub_server: StubServer, images: set[str]) -> None:
    write_manifest(tmp_path, stub_server.url)
    run(tmp_path, api)
    fixed = rejects(tmp_path)
    fixed["image"] = [f"{stub_server.url}/other.png", f"{stub_server.url}/9.png?{SIGNATURE}", fixed["image"][2]]
    fixed.to_parquet(tmp_path / "fixed.parquet")
    write_config(tmp_path, task=TASK)
    job = load_job(str(tmp_path / "job.yaml"), manifest=str(tmp_path / "fixed.parquet"))
    rows = list(open_job_manifest(job).rows)
    assert [row.problem for row in rows] == [None, None, None]
    assert [row.values["image"] for row in rows] == [*fixed["image"][:2], f"{stub_server.url}/2.png?{SIGNATURE}"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("another order", "row 1 of {manifest} is not this row"),
        ("shorter", "row 3 of {manifest} is not this row"),
        ("removed", "{manifest}: there is no such file"),
        ("not named", "manifest.rejects_of does not say where it is"),
    ],
)
def test_row_whose_signature_is_not_found_is_rejected_with_the_reason(
    tmp_path: Path, api: str, stub_server: StubServer, images: set[str], change: str, reason: str
) -> None:
    write_manifest(tmp_path, stub_server.url)
    run(tmp_path, api)
    manifest, fixed = tmp_path / "manifest.jsonl", tmp_path / "out" / "rejects" / "rejects.parquet"
    lines = manifest.read_text().splitlines(keepends=True)
    if change == "another order":
        manifest.write_text("".join(reversed(lines)))
    elif change == "shorter":
        manifest.write_text("".join(lines[:2]))
    elif change == "removed":
        manifest.unlink()
    images |= {"/0.png", "/1.png", "/2.png"}
    config = write_config(tmp_path, name=tmp_path.name[-40:], task=TASK, scale={"url": api}, max_unlabeled="100%")
    if change == "not named":
        write_config(
            tmp_path,
            name=tmp_path.name[-40:],
            task=TASK,
            scale={"url": api},
            max_unlabeled="100%",
            manifest__uri=str(fixed),
        )
        label(load_job(str(config)))
    else:
        label(load_job(str(config), manifest=str(fixed)))
    found = rejects(tmp_path)
    expected = f"had a signature that is not in the rejects file, and {reason.format(manifest=manifest)}"
    assert any(text.startswith(expected) for text in found["reject_reason"]), list(found["reject_reason"])
    assert set(found["reject_field"]) == {"image"}
    assert "set manifest.rejects_of" in found["reject_fix"][0]
    assert SECRET not in found.to_csv()


def test_file_without_signatures_does_not_need_the_first_manifest(tmp_path: Path, api: str, images: set[str]) -> None:
    (tmp_path / "manifest.jsonl").write_text('{"id": "a", "image": " "}\n{"id": "b", "image": " "}\n')
    run(tmp_path, api)
    assert rejects(tmp_path)["reject_signed"].isna().all()
    (tmp_path / "manifest.jsonl").unlink()
    run(tmp_path, api, str(tmp_path / "out" / "rejects" / "rejects.parquet"))
    assert set(rejects(tmp_path)["reject_reason"]) != set()
