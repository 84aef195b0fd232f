"""A storm of callbacks upon a receiver that is killed again and again. What it stored is collected in the end.

`python -m tests.proofs.callbacks.load CONFIG` collects again and again, until its stdin ends: a process of its
own, for a test that wants the collector to be at work meanwhile.
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

from labelflow.callbacks.spool import UNROUTED
from labelflow.collection.collector import Collector
from labelflow.concurrency.stop_token import StopToken
from labelflow.jobs.config import load_job
from labelflow.jobs.job import Job
from labelflow.ledger import job_record
from labelflow.ledger.ledger import Ledger
from labelflow.records import Submission
from labelflow.scale.client import ScaleClient
from labelflow.storage.local import LocalFolder
from tests.proofs.callbacks.service import KEY, ROOT, ReceiverProcess, running_receiver
from tests.support.jobs import make_job, write_config

CONNECTIONS = 64
ACKNOWLEDGE_TIMEOUT = 120.0  # seconds for one callback to be acknowledged, over all restarts
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
DUPLICATES, FORGED, MALFORMED = 0.10, 0.05, 0.01
FORGED_CATEGORY = "b"  # every true answer is "a"
EXPECTED_STATUS = {
    "good": 200,
    "duplicate": 200,
    "foreign": 200,
    "forged": 401,
    "malformed": 400,
}  # answers, by what was sent


@dataclass
class LoadResult:
    """What became of a storm of so many tasks' callbacks, with so many kills wanted."""

    count: int
    requested_kills: int
    acknowledged: set[str] = field(default_factory=set)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)  # by what was sent, and the answer
    labels: list[dict[str, Any]] = field(default_factory=list)
    kills: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    unrouted: int = 0
    output: str = ""

    @property
    def rate(self) -> float:
        """Acknowledged callbacks a second, restarts among them."""
        return self.acknowledged_count / self.seconds

    @property
    def violations(self) -> list[str]:
        """The promises that were broken."""
        labeled = Counter(str(row["task_id"]) for row in self.labels)
        numbers = {
            "acknowledged and not labeled": len(self.acknowledged - set(labeled) - {""}),
            "labeled and not sent": len(set(labeled) - {task_id(number) for number in range(self.count)}),
            "not labeled": self.count - len(labeled),
            "labeled twice": labeled.total() - len(labeled),
            "labeled as the forged callbacks said": sum(row["category"] == [FORGED_CATEGORY] for row in self.labels),
            "kills too few": self.requested_kills - self.kills,
            "times the key in the receiver's log": self.output.count(KEY),
        }
        odd = {
            f"{what} answered {status}": number
            for (what, status), number in self.statuses.items()
            if status != EXPECTED_STATUS[what]
        }
        return [f"{number:,} {what}" for what, number in {**numbers, **odd}.items() if number]

    @property
    def acknowledged_count(self) -> int:
        """Callbacks that were acknowledged, duplicates among them."""
        return sum(number for (_, status), number in self.statuses.items() if status == 200)


@dataclass(frozen=True)
class CallbackRequest:
    """A callback to be sent, and what it is: good, duplicate, forged, malformed or foreign."""

    kind: str
    task_id: str
    request: bytes


def task_id(number: int) -> str:
    """The task of a row."""
    return f"{number:024x}"


def callback_body(job: str, number: int, category: str = "a", minutes: int = 0) -> bytes:
    """A callback as the service sends it."""
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
    """A POST, as it goes over the line."""
    auth = f"scale-callback-auth: {key}\r\n" if key is not None else ""
    head = f"POST /callback HTTP/1.1\r\nhost: x\r\n{auth}content-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def callback_requests(count: int, rng: random.Random) -> list[CallbackRequest]:
    """A true callback for each task, and the others among them, in any order."""
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
            broken = rng.choice([body[: len(body) // 2], b"", b"[]", b'{"task_id": "x"}', b'{"task": {"task_id": 1}}'])
            requests.append(CallbackRequest("malformed", task_id(number), callback_request(broken)))
    requests += [
        CallbackRequest("foreign", "", callback_request(callback_body("another", count + number)))
        for number in range(count // 100)
    ]
    rng.shuffle(requests)
    return requests


def run_load_test(
    folder: Path, count: int, kills: int, seed: int, prefix: tuple[str, ...] = (), collect_concurrently: bool = False
) -> LoadResult:
    """So many tasks, told of by callbacks; prefix: of the receiver's command line.

    collect_meanwhile: have a collector at work beside the receiver, which takes its share of the machine.
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
    """As a run leaves it that has created a task for each row."""
    folder, kind = LocalFolder(job.output), pa.struct([("id", pa.string())])
    job_record.create(folder, job, kind)
    ledger = Ledger(folder, kind)
    for first in range(0, count, 1000):
        ledger.record([_submission(number) for number in range(first, min(first + 1000, count))])


def _submission(number: int) -> Submission:
    row_id = f"r{number}"
    return Submission(row_id, number + 1, task_id(number), None, "f", 0, 0, NOON, [f"text {number}"], {"id": row_id})


def collect(job: Job) -> None:
    """Take over what is stored; the API is not asked."""
    folder, kind = LocalFolder(job.output), pa.struct([("id", pa.string())])
    with closing(ScaleClient("test_x", "http://127.0.0.1:9")) as client:
        Collector(job, client, Ledger(folder, kind), folder, kind, StopToken()).collect(poll=False)


@contextmanager
def _running_collector(config: Path | None) -> Iterator[None]:
    """A collector beside what is done meanwhile, where a job is named."""
    if config is None:
        yield
        return
    command = [sys.executable, "-m", "tests.proofs.callbacks.load", str(config)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) as process:
        yield
        process.communicate(timeout=60)
    assert process.returncode == 0, "the collector failed"


def main() -> None:
    """Collect, again and again."""
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
    """One connection, opened again whenever it breaks; a callback is sent until it is answered for good."""
    streams: Any = None
    while queue:
        callback = queue.pop()
        deadline = time.monotonic() + ACKNOWLEDGE_TIMEOUT
        status = 0
        while status in (0, 503):
            assert time.monotonic() < deadline, f"{callback.kind} callback of {callback.task_id}: {status}"
            try:
                streams = streams or await asyncio.open_connection("127.0.0.1", port)
                status, stays = await _exchange(streams[0], streams[1], callback.request)
            except (OSError, asyncio.IncompleteReadError, ValueError):
                stays = False
                await asyncio.sleep(0.05)
            if not stays and streams:
                streams[1].close()
                streams = None
        result.statuses[callback.kind, status] += 1
        if status == 200:
            result.acknowledged.add(callback.task_id)
    if streams:
        streams[1].close()


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, content: bytes) -> tuple[int, bool]:
    """The status of an answer, and whether the connection stays open."""
    writer.write(content)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head[9:12]), b"connection: close" not in head


if __name__ == "__main__":
    main()
