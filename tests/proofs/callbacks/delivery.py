"""Delivery test: the sandbox sends its callbacks to a receiver that is killed; its delivery status must be correct."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from labelflow.collection.collector import Collector
from labelflow.jobs.job import Job
from labelflow.ledger.context import open_existing_job
from labelflow.sandbox.testing import running
from labelflow.scale.client import ScaleClient
from labelflow.scale.models import Task
from tests.proofs.callbacks.service import KEY, ReceiverProcess, running_receiver
from tests.support.jobs import make_job, write_config
from tests.support.run_job import label

API_KEY = "live_callbacks"
CALLBACK_DAY = 60  # seconds of the sandbox's day of callback retries; a restart takes much less
FAULTS = "seed=3, duplicate-callback=10%:1s, late-callback=5%:1s"
CALLBACK_TIMEOUT = 300.0  # seconds after the last task is completed


@dataclass
class DeliveryResult:
    """Ids of tasks by the sandbox's delivery status, and those in labels/."""

    kills: int
    succeeded: set[str] = field(default_factory=set)  # `callback_succeeded` is true
    failed: set[str] = field(default_factory=set)  # it is false or missing
    labeled: Counter[str] = field(default_factory=Counter)

    @property
    def violations(self) -> list[str]:
        """The differences between the two."""
        numbers = {
            "callbacks succeeded but are not labeled": len(self.succeeded - set(self.labeled)),
            "callbacks failed, although they are retried for a day": len(self.failed),
            "labeled twice": self.labeled.total() - len(self.labeled),
        }
        return [f"{number:,} {label}" for label, number in numbers.items() if number]


def run_delivery_test(folder: Path, count: int, kills: int, seconds: float) -> DeliveryResult:
    """Create `count` live tasks that finish within `seconds`, kill the receiver `kills` times, then collect."""
    rows = [{"id": f"r{number}", "text": f"text {number}"} for number in range(count)]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    os.environ.update(SCALE_API_KEY=API_KEY, SCALE_CALLBACK_AUTH_KEY=KEY)
    with running(turnaround=f"1-{seconds}", callback_day=CALLBACK_DAY, faults=FAULTS) as url:
        scale = {"url": url, "mode": "live"}
        with running_receiver(write_config(folder, scale=scale)) as service:
            collect = {"callback_url": f"{service.url}/callback"}
            job = make_job(folder, scale=scale, collect=collect, submit={"concurrency": 32})
            label(job, wait=False)
            kill_repeatedly(service, kills, seconds / (kills + 1))
            tasks = wait_for_callbacks(url)
            service.stop()
        collect_callbacks(job)
    result = DeliveryResult(service.kills)
    for task in tasks:
        (result.succeeded if task.raw.get("callback_succeeded") else result.failed).add(task.task_id)
    result.labeled.update(map(str, pq.read_table(folder / "out" / "labels")["task_id"].to_pylist()))
    return result


def kill_repeatedly(service: ReceiverProcess, kills: int, pause: float) -> None:
    for _ in range(kills):
        time.sleep(pause)
        service.kill_and_restart()


def wait_for_callbacks(url: str) -> list[Task]:
    """Wait until each callback has succeeded or failed finally; returns the tasks."""
    deadline = time.monotonic() + CALLBACK_TIMEOUT
    while True:
        with ScaleClient(API_KEY, url) as client:
            tasks = list(client.list_tasks())
        if all("callback_succeeded" in task.raw for task in tasks) or time.monotonic() > deadline:
            return tasks
        time.sleep(1)


def collect_callbacks(job: Job) -> None:
    """Collect from stored callbacks only; the API is not polled."""
    with closing(open_existing_job(job)) as existing:
        Collector(existing).collect(poll=False)
