"""One combination of dialect and store: a sandbox full of faults, jobs one after another, and many deaths."""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import requests

from labelflow.sandbox import testing
from labelflow.scale.models import format_time
from tests.acceptance.chaos.audit import check_cap, check_output, count_tasks
from tests.acceptance.chaos.manifest_edits import change_unrecorded_rows
from tests.acceptance.chaos.readers import Reader
from tests.acceptance.chaos.run_lifecycle import Job, Lives
from tests.acceptance.chaos.stores import Store, open_store
from tests.acceptance.chaos.tally import Tally
from tests.support.jobs import document

ROWS = 300
BAD_EVERY = 40  # each so many-th row cannot be submitted
CAP = 180  # tasks, of every second job
FAST, SLOW = 200, 25  # tasks a second
FAULTS = (  # `dead-attachment` meets no text
    "reset=1%, dropped=2%, 500-before=1%, 500-after=2%, 503-before=1%, 503-after=1%, 429=1%, 429-wait=0.3%:1s, "
    "slow=1%:0.3s, never=0.2%, broken-json=1%, error=2%, recall=3%:1s, lag=0.5s"
)


def run_combination(dialect: str, kind: str, kills: int, command_kills: int, seed: int) -> Tally:
    """Kill runs so many times, or until something is wrong; returns the counts."""
    tally, begun = Tally(dialect, kind, seed), time.monotonic()
    chance = random.Random(f"{seed} {dialect} {kind}")
    with tempfile.TemporaryDirectory(prefix="chaos-") as made, open_store(kind, Path(made)) as store:
        folder = Path(made)
        os.environ.update(store.environment)  # this process reads what the runs write
        database = folder / "sandbox.sqlite"
        faults = f"seed={seed}, {FAULTS}"
        sandbox = testing.start(dialect=dialect, db=database, faults=faults, log=folder / "sandbox.txt")
        expected: Counter[tuple[str, str]] = Counter()
        lives = Lives(store, folder, chance, tally)
        try:
            url = testing.listening_url(sandbox)
            while tally.kills.total() < kills and not tally.wrong:
                job = _new_job(store, folder, url, tally)
                job.submit_with(FAST, CAP if tally.jobs % 2 else None)
                _label(job, lives, expected, kills=min(kills - tally.kills.total(), kills // 2 + 1))
                print(f"{dialect}, {kind}: {tally.kills.total()} of {kills} kills", file=sys.stderr, flush=True)
            while tally.command_kills < command_kills and not tally.wrong:
                job = _new_job(store, folder, url, tally)
                job.submit_with(SLOW)
                _label(job, lives, expected, command_kills=command_kills - tally.command_kills)
            tally.faults = Counter(requests.get(url.replace("/v1", "/sandbox/faults"), timeout=10).json())
        finally:
            lives.end_all()
            testing.stop(sandbox)
        count_tasks(database, expected, tally)
        tally.leftovers = sum(1 for path in folder.rglob(".*.part"))
    tally.seconds = time.monotonic() - begun
    return tally


def _label(job: Job, lives: Lives, expected: Counter[tuple[str, str]], kills: int = 0, command_kills: int = 0) -> None:
    """A job from its first run to its last, with a reader beside it; where it has a cap, the last ones have none."""
    tally = lives.tally
    reader = Reader(lives.store, job.name)
    changed: set[str] = set()
    if kills:
        lives.die_with_unrecorded_tasks(job)
        changed = change_unrecorded_rows(job)
        lives.live_and_die(job, kills - 1)
    else:
        lives.die_as_command(job, command_kills)
        job.submit_with(FAST)
    lives.finish(job)
    if job.cap is not None and job.is_through:
        check_cap(job, tally)
        job.submit_with(FAST)
        lives.finish(job)
    reader.stop()
    tally.looks += reader.looks
    tally.empty_looks += reader.empty_looks
    tally.unreadable += len(reader.unreadable)
    tally.wrong += [f"{job.name}: a reader met {reason}" for reason in reader.unreadable[:3]]
    tally.seen_twice += reader.rows_seen_twice
    tally.changed += len(changed)
    bad = {f"r{number}" for number in range(0, ROWS, BAD_EVERY)}
    good = {f"r{number}" for number in range(ROWS)} - bad
    expected.update((job.name, row_id) for row_id in good)
    if job.is_through:
        check_output(job, good - changed, bad | changed, tally)


def _new_job(store: Store, folder: Path, url: str, tally: Tally) -> Job:
    home = folder / f"configs-{tally.jobs}"
    home.mkdir()
    rows = [{"id": f"r{row}", "text": f"text {row}" if row % BAD_EVERY else " "} for row in range(ROWS)]
    (home / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    name = f"job-{tally.jobs}"
    made = document(
        home,
        name=name,
        output=store.output(name),
        scale={"url": url, "timeout": "2s"},
        collect={"poll_interval": "0.5s", "timeout": "60s"},  # a task that never comes back is a defect
        max_unlabeled="100%",
    )
    begun_at = format_time(datetime.now(UTC))
    return Job(made, home / "job.yaml", home / "manifest.jsonl", url, begun_at, knows_ids=tally.dialect != "2017")
