"""Load test: many callbacks to a receiver that is killed several times; its stored callbacks are collected at the end.

`python -m tests.proofs.callbacks.load CONFIG` collects repeatedly until its stdin ends: a separate process, for a
test that needs a concurrent collector.
"""

from __future__ import annotations

import asyncio
import json
import random
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from labelflow.callbacks.stored_callbacks import UNROUTED
from labelflow.collection.collector import Collector
from labelflow.concurrency.stop_token import StopToken
from labelflow.jobs.config import load_job
from labelflow.jobs.job import Job
from labelflow.ledger import job_record
from labelflow.ledger.context import ConnectedJob
from labelflow.ledger.ledger import Ledger
from labelflow.records import Submission
from labelflow.scale.client import ScaleClient
from labelflow.storage.local import LocalFolder
from tests.proofs.callbacks.service import KEY, ROOT, ReceiverProcess, running_receiver
from tests.support.jobs import make_job, write_config

CONNECTIONS = 64
ACKNOWLEDGE_TIMEOUT = 120.0  # seconds for one callback, including restarts
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
DUPLICATES, FORGED, MALFORMED = 0.10, 0.05, 0.01
FORGED_CATEGORY = "b"  # the valid answer is always "a"
EXPECTED_STATUS = {
    "good": 200,
    "duplicate": 200,
    "foreign": 200,
    "forged": 401,
    "malformed": 400,
}  # HTTP status by kind of callback


@dataclass
class LoadResult:
    """Result of a load test. count: tasks; requested_kills: of the receiver."""

    count: int
    requested_kills: int
    acknowledged: set[str] = field(default_factory=set)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)  # by kind and HTTP status
    labels: list[dict[str, Any]] = field(default_factory=list)
    kills: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    unrouted: int = 0
    output: str = ""

    @property
    def rate(self) -> float:
        """Acknowledged callbacks per second, including the time of restarts."""
        return self.acknowledged_count / self.seconds

    @property
    def violations(self) -> list[str]:
        """The violations, with their counts."""
        labeled = Counter(str(row["task_id"]) for row in self.labels)
        numbers = {
            "acknowledged but not labeled": len(self.acknowledged - set(labeled) - {""}),
            "labeled but not sent": len(set(labeled) - {task_id(number) for number in range(self.count)}),
            "not labeled": self.count - len(labeled),
            "labeled twice": labeled.total() - len(labeled),
            "labeled with a forged answer": sum(row["category"] == [FORGED_CATEGORY] for row in self.labels),
            "kills missing": self.requested_kills - self.kills,
            "occurrences of the key in the receiver's log": self.output.count(KEY),
        }
        unexpected = {
            f"{kind} answered {status}": number
            for (kind, status), number in self.statuses.items()
            if status != EXPECTED_STATUS[kind]
        }
        return [f"{number:,} {label}" for label, number in {**numbers, **unexpected}.items() if number]

    @property
    def acknowledged_count(self) -> int:
        """Acknowledged callbacks, including duplicates."""
        return sum(number for (_, status), number in self.statuses.items() if status == 200)


@dataclass(frozen=True)
class CallbackRequest:
    """A callback to send, and its kind: good, duplicate, forged, malformed or foreign."""

    kind: str
    task_id: str
    request: bytes


def task_id(number: int) -> str:
    """The task id of a row number."""
    return f"{number:024x}"


def callback_body(job: str, number: int, category: str = "a", minutes: int = 0) -> bytes:
    """The body of a callback, as Scale sends it."""
    response = {"category": category}
    task = {
        "task_id": task_id(number),
        "type": "categorization",
        "status": "completed",
        "created_at": NOON.isoformat(),
        "completed_at": (NOON + timedelta(minutes=1 + minutes)).isoformat(),
        "callback_url": "https://labels.example.com/callback",
        "urgency": "day",
        "params": {"attachment_type": "text", "attachment": f"text {number} " + "x" * 200, "categories": ["a", "b"]},
        "metadata": {"job": job, "row_id": f"r{number}"},
        "response": response,
    }
    return json.dumps({"task_id": task_id(number), "response": response, "task": task}).encode()


def callback_request(body: bytes, key: str | None = KEY) -> bytes:
    """The bytes of the POST request; key: the callback auth key, None for no header."""
    auth = f"scale-callback-auth: {key}\r\n" if key is not None else ""
    head = f"POST /callback HTTP/1.1\r\nhost: x\r\n{auth}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def callback_requests(count: int, rng: random.Random) -> list[CallbackRequest]:
    """A valid callback for each task, and callbacks of the other kinds, in random order."""
    requests = []
    for number in range(count):
        body = callback_body("job", number)
        requests.append(CallbackRequest("good", task_id(number), callback_request(body)))
        if rng.random() < DUPLICATES:
            requests.append(CallbackRequest("duplicate", task_id(number), callback_request(body)))
        if rng.random() < FORGED:
            key = rng.choice(["wrong", None, "", KEY + "x", KEY[:-1]])
            requests.append(
                CallbackRequest(
                    "forged", task_id(number), callback_request(callback_body("job", number, FORGED_CATEGORY, 60), key)
                )
            )
        if rng.random() < MALFORMED:
            malformed = rng.choice(
                [body[: len(body) // 2], b"", b"[]", b'{"task_id": "x"}', b'{"task": {"task_id": 1}}']
            )
            requests.append(CallbackRequest("malformed", task_id(number), callback_request(malformed)))
    requests += [
        CallbackRequest("foreign", "", callback_request(callback_body("another", count + number)))
        for number in range(count // 100)
    ]
    rng.shuffle(requests)
    return requests


def run_load_test(
    folder: Path, count: int, kills: int, seed: int, prefix: tuple[str, ...] = (), collect_concurrently: bool = False
) -> LoadResult:
    """Send the callbacks of `count` tasks; prefix: of the receiver's command line.

    collect_concurrently: run a collector at the same time as the receiver, which slows the receiver down.
    """
    rng = random.Random(seed)
    job, config = make_job(folder), write_config(folder)
    write_ledger(job, count)
    result = LoadResult(count, kills)
    queue = callback_requests(count, rng)
    with running_receiver(config, prefix=prefix) as service:
        with _running_collector(config if collect_concurrently else None):
            asyncio.run(_send_all(service, queue, kills, rng, result))
        service.stop()
    result.cpu_seconds = service.cpu_seconds
    result.output, result.kills = service.output, service.kills
    collect(job)
    result.labels = pq.read_table(folder / "out" / "labels").to_pylist()
    result.unrouted = len(list((folder / "out" / UNROUTED).glob("*")))
    return result


def write_ledger(job: Job, count: int) -> None:
    """Write the ledger of a run that has created a task for each row."""
    folder, kind = LocalFolder(job.output), pa.struct([("id", pa.string())])
    job_record.claim(folder, job, kind)
    ledger = Ledger(folder, kind)
    for first in range(0, count, 1000):
        ledger.record([_submission(number) for number in range(first, min(first + 1000, count))])


def _submission(number: int) -> Submission:
    row_id = f"r{number}"
    return Submission(row_id, number + 1, task_id(number), None, "f", 0, 0, NOON, [f"text {number}"], {"id": row_id})


def collect(job: Job) -> None:
    """Collect the stored callbacks, without a request to the API."""
    folder, kind = LocalFolder(job.output), pa.struct([("id", pa.string())])
    with closing(ScaleClient("test_x", "http://127.0.0.1:9")) as client:
        context = ConnectedJob(job, folder, Ledger.load(folder, kind), StopToken(), client)
        Collector(context).collect(poll=False)


@contextmanager
def _running_collector(config: Path | None) -> Iterator[None]:
    """Run a concurrent collector, if there is a config."""
    if config is None:
        yield
        return
    command = [sys.executable, "-m", "tests.proofs.callbacks.load", str(config)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) as process:
        yield
        process.communicate(timeout=60)
    assert process.returncode == 0, "the collector failed"


def main() -> None:
    """Collect repeatedly until stdin ends."""
    job = load_job(sys.argv[1])
    while not select.select([sys.stdin], [], [], 0.5)[0]:
        collect(job)


async def _send_all(
    service: ReceiverProcess, queue: list[CallbackRequest], kills: int, rng: random.Random, result: LoadResult
) -> None:
    total = len(queue)
    kill_at = sorted(rng.randrange(total // 10, total - total // 10) for _ in range(kills))
    started_at = time.monotonic()
    senders = [asyncio.create_task(_send(service.port, queue, result)) for _ in range(CONNECTIONS)]
    while kill_at:
        await asyncio.sleep(0.005)
        if total - len(queue) >= kill_at[0]:
            kill_at.pop(0)
            await asyncio.to_thread(service.kill_and_restart)
    await asyncio.gather(*senders)
    result.seconds = time.monotonic() - started_at


async def _send(port: int, queue: list[CallbackRequest], result: LoadResult) -> None:
    """Send callbacks over one connection, reopened after errors; each is sent until it gets a status other than 503."""
    streams: Any = None
    while queue:
        callback = queue.pop()
        deadline = time.monotonic() + ACKNOWLEDGE_TIMEOUT
        status = 0
        while status in (0, 503):
            assert time.monotonic() < deadline, f"{callback.kind} callback of {callback.task_id}: {status}"
            try:
                streams = streams or await asyncio.open_connection("127.0.0.1", port)
                status, is_open = await _exchange(streams[0], streams[1], callback.request)
            except (OSError, asyncio.IncompleteReadError, ValueError):
                is_open = False
                await asyncio.sleep(0.05)
            if not is_open and streams:
                streams[1].close()
                streams = None
        result.statuses[callback.kind, status] += 1
        if status == 200:
            result.acknowledged.add(callback.task_id)
    if streams:
        streams[1].close()


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, content: bytes) -> tuple[int, bool]:
    """Send a request; returns the HTTP status, and whether the connection stays open."""
    writer.write(content)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head[9:12]), b"connection: close" not in head


if __name__ == "__main__":
    main()
