"""One combination of API version and store: a sandbox with many faults, jobs one after another, many kills."""

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
from tests.proofs.chaos.audit import check_cap, check_output, check_tasks
from tests.proofs.chaos.manifest_edits import change_unrecorded_rows
from tests.proofs.chaos.readers import LabelReader
from tests.proofs.chaos.run_lifecycle import ChaosJob, RunSupervisor
from tests.proofs.chaos.stores import OutputStore, open_store
from tests.proofs.chaos.tally import ChaosReport
from tests.support.jobs import job_document

ROWS = 300
INVALID_EVERY = 40  # every 40th row is invalid
CAP = 180  # tasks, of every second job
FAST_RATE, SLOW_RATE = 200, 25  # tasks a second
FAULTS = (  # `dead-attachment` does not affect text
    "reset=1%, dropped=2%, 500-before=1%, 500-after=2%, 503-before=1%, 503-after=1%, 429=1%, 429-wait=0.3%:1s, "
    "slow=1%:0.3s, never=0.2%, broken-json=1%, refused-retry=3%, error=2%, recall=3%:1s, large-answer=20%, lag=0.5s"
)


def run_scenario(api_version: str, store_kind: str, kills: int, command_kills: int, seed: int) -> ChaosReport:
    """Kill runs this many times, or until there is a violation; returns the counts."""
    report, started_at = ChaosReport(api_version, store_kind, seed), time.monotonic()
    rng = random.Random(f"{seed} {api_version} {store_kind}")
    with tempfile.TemporaryDirectory(prefix="chaos-") as temporary, open_store(store_kind, Path(temporary)) as store:
        folder = Path(temporary)
        os.environ.update(store.environment)  # this process reads the output of the runs
        database = folder / "sandbox.sqlite"
        faults = f"seed={seed}, {FAULTS}"
        sandbox = testing.start(api=api_version, db=database, faults=faults, log=folder / "sandbox.txt")
        expected: Counter[tuple[str, str]] = Counter()
        supervisor = RunSupervisor(store, folder, rng, report)
        try:
            url = testing.listening_url(sandbox)
            while report.kills.total() < kills and not report.violations:
                job = _new_job(store, folder, url, report)
                job.set_submit(FAST_RATE, CAP if report.jobs % 2 else None)
                _run_job(job, supervisor, expected, kills=min(kills - report.kills.total(), kills // 2 + 1))
                print(
                    f"{api_version}, {store_kind}: {report.kills.total()} of {kills} kills", file=sys.stderr, flush=True
                )
            while report.command_kills < command_kills and not report.violations:
                job = _new_job(store, folder, url, report)
                job.set_submit(SLOW_RATE)
                _run_job(job, supervisor, expected, command_kills=command_kills - report.command_kills)
            report.unreached = supervisor.missing_crash_points()
            report.faults = Counter(requests.get(url.replace("/v1", "/sandbox/faults"), timeout=10).json())
        finally:
            supervisor.end_all()
            testing.stop(sandbox)
        check_tasks(database, expected, report)
        report.leftovers = sum(1 for path in folder.rglob(".*.part"))
    report.seconds = time.monotonic() - started_at
    return report


def _run_job(
    job: ChaosJob, supervisor: RunSupervisor, expected: Counter[tuple[str, str]], kills: int = 0, command_kills: int = 0
) -> None:
    """Run a job from its first run to its last, with a concurrent reader; a cap is removed for the last runs."""
    report = supervisor.report
    label_reader = LabelReader(supervisor.store, job.name)
    changed: set[str] = set()
    if kills:
        supervisor.crash_with_unrecorded_tasks(job)
        changed = change_unrecorded_rows(job)
        supervisor.run_and_kill(job, kills - 1)
    else:
        supervisor.kill_command(job, command_kills)
        job.set_submit(FAST_RATE)
    supervisor.finish(job)
    if job.cap is not None and job.is_complete:
        check_cap(job, report)
        job.set_submit(FAST_RATE)
        supervisor.finish(job)
    label_reader.stop()
    report.reads += label_reader.reads
    report.empty_reads += label_reader.empty_reads
    report.unreadable += len(label_reader.unreadable)
    report.violations += [f"{job.name}: reader error: {reason}" for reason in label_reader.unreadable[:3]]
    report.duplicate_reads += label_reader.duplicate_rows
    report.changed += len(changed)
    bad = {f"r{number}" for number in range(0, ROWS, INVALID_EVERY)}
    good = {f"r{number}" for number in range(ROWS)} - bad
    expected.update((job.name, row_id) for row_id in good)
    if job.is_complete:
        check_output(job, good - changed, bad | changed, report)


def _new_job(store: OutputStore, folder: Path, url: str, report: ChaosReport) -> ChaosJob:
    home = folder / f"configs-{report.jobs}"
    home.mkdir()
    rows = [{"id": f"r{row}", "text": f"text {row}" if row % INVALID_EVERY else " "} for row in range(ROWS)]
    (home / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    name = f"job-{report.jobs}"
    document = job_document(
        home,
        name=name,
        output=store.output(name),
        scale={"url": url, "timeout": "2s"},
        collect={"poll_interval": "0.5s", "timeout": "60s"},  # a task that never finishes is a defect
        max_unlabeled="100%",
    )
    started_at = format_time(datetime.now(UTC))
    return ChaosJob(
        document,
        home / "job.yaml",
        home / "manifest.jsonl",
        url,
        started_at,
        supports_unique_id=report.api_version != "2017",
    )
