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
import yaml

from sandbox import server
from scale.contract import format_time
from tests.acceptance.chaos.changing import change_unrecorded_rows
from tests.acceptance.chaos.counting import check_output, count_tasks
from tests.acceptance.chaos.lives import Job, Lives
from tests.acceptance.chaos.readers import Reader
from tests.acceptance.chaos.stores import Store, open_store
from tests.acceptance.chaos.tally import Tally
from tests.labeling.jobs import document

ROWS = 600
BAD_EVERY = 40  # each so many-th row cannot be submitted
FAULTS = (
    "reset=1%, dropped=2%, 500-before=1%, 500-after=2%, 503-before=1%, 503-after=1%, 429=1%, slow=1%:0.3s, "
    "never=0.2%, broken-json=1%, error=2%, lag=0.5s"
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
        sandbox = server.start(dialect=dialect, db=database, faults=faults, log=folder / "sandbox.txt")
        expected: Counter[tuple[str, str]] = Counter()
        lives = Lives(store, folder, chance, tally)
        try:
            url = server.listening_url(sandbox)
            while tally.kills.total() < kills and not tally.wrong:
                job = _new_job(store, folder, url, tally.jobs, rate=200)
                _label(job, lives, expected, kills=kills - tally.kills.total())
                print(f"{dialect}, {kind}: {tally.kills.total()} of {kills} kills", file=sys.stderr, flush=True)
            while tally.command_kills < command_kills and not tally.wrong:
                job = _new_job(store, folder, url, tally.jobs, rate=25)
                _label(job, lives, expected, command_kills=command_kills - tally.command_kills)
            tally.faults = Counter(requests.get(url.replace("/v1", "/sandbox/faults"), timeout=10).json())
        finally:
            lives.end_all()
            server.stop(sandbox)
        count_tasks(database, expected, tally)
        tally.leftovers = sum(1 for path in folder.rglob(".*.part"))
    tally.seconds = time.monotonic() - begun
    return tally


def _label(job: Job, lives: Lives, expected: Counter[tuple[str, str]], kills: int = 0, command_kills: int = 0) -> None:
    """A job from its first run to its last, with a reader beside it."""
    tally = lives.tally
    reader = Reader(lives.store, job.name)
    changed: set[str] = set()
    if kills:
        lives.die_with_unrecorded_tasks(job)
        changed = change_unrecorded_rows(job)
    lives.live_and_die(job, kills - 1)
    lives.die_as_command(job, command_kills)
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


def _new_job(store: Store, folder: Path, url: str, number: int, rate: int) -> Job:
    home = folder / f"configs-{number}"
    home.mkdir()
    rows = [{"id": f"r{row}", "text": f"text {row}" if row % BAD_EVERY else " "} for row in range(ROWS)]
    (home / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    name = f"job-{number}"
    made = document(
        home,
        name=name,
        output=store.output(name),
        scale={"url": url, "timeout": "2s"},
        submit={"concurrency": 8, "rate": f"{rate}/s"},
        completion={"every": "0.5s"},
        max_rejected="100%",
    )
    config = home / "job.yaml"
    config.write_text(yaml.safe_dump(made))
    return Job(name, config, home / "manifest.jsonl", made["output"], url, format_time(datetime.now(UTC)))
