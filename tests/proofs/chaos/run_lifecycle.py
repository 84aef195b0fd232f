"""The lifecycle of runs: started, killed and restarted until the job is complete."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.proofs.chaos.audit import KEY, listed_row_ids, settled_row_ids
from tests.proofs.chaos.crash_points import CRASH_POINTS, DISK_ONLY_POINTS, FIRST_RUN_POINTS
from tests.proofs.chaos.fork_server import ForkedRun, ForkServer, can_create_namespaces
from tests.proofs.chaos.run_process import WORKING
from tests.proofs.chaos.stores import OutputStore
from tests.proofs.chaos.tally import ChaosReport

ROOT = Path(__file__).parents[3]
RUN_TIMEOUT = 120.0  # seconds; a run that takes longer hangs
MAX_FINAL_RUNS = 20
MAX_RUNS_PER_KILL = 5  # limit, because runs can end before they are killed; `finish` then reports why
RANDOM_MOMENT = "at random"
CLOCK_OFFSETS = (0, 0, 1200, -1200)  # seconds
MEMORY_MB = 640  # that a run may use beyond what the fork server has
LEASE_REFUSED = "another run of this job is active"


@dataclass
class ChaosJob:
    """A job and its config. document: the config; supports_unique_id: whether the API has `unique_id`."""

    document: dict[str, Any]
    config: Path
    manifest: Path
    url: str  # of the API
    started_at: str
    supports_unique_id: bool
    is_complete: bool = False

    @property
    def name(self) -> str:
        return str(self.document["name"])

    @property
    def output(self) -> str:
        return str(self.document["output"])

    @property
    def cap(self) -> int | None:
        """The maximum number of tasks."""
        cap: int | None = self.document["submit"]["max_tasks"]
        return cap

    @property
    def is_exclusive(self) -> bool:
        """Whether a second run at the same time must be refused."""
        return self.cap is not None or not self.supports_unique_id

    def set_submit(self, rate: int, cap: int | None = None) -> None:
        """Set rate (tasks per second) and cap for the next runs."""
        self.document["submit"] = {"concurrency": 8, "rate": f"{rate}/s", "max_tasks": cap}
        self.config.write_text(yaml.safe_dump(self.document))
        self.is_complete = False


@dataclass
class RunInstance:
    """A started run; crash_point: where it will crash, or RANDOM_MOMENT."""

    process: subprocess.Popen[bytes] | ForkedRun
    log: Path
    crash_point: str = ""


class RunSupervisor:
    """Starts and kills runs of a job."""

    def __init__(self, store: OutputStore, folder: Path, rng: random.Random, report: ChaosReport) -> None:
        self.store = store
        self.report = report
        self._folder = folder
        self._rng = rng
        self._started: list[subprocess.Popen[bytes] | ForkedRun] = []
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "SCALE_", "AWS_"))
        }
        self._environment = {
            **inherited,
            **store.environment,
            "SCALE_API_KEY": KEY,
            "PYTHONPATH": str(ROOT),
            "PREFECT_HOME": str(folder / "prefect"),
            "ARROW_DEFAULT_MEMORY_POOL": "system",  # as flows/__init__.py
        }
        self._fork_server = ForkServer(ROOT, self._environment)

    def crash_with_unrecorded_tasks(self, job: ChaosJob) -> None:
        """Crash a first run at the points that only a first run reaches, then one whose tasks are not in the ledger."""
        for point in sorted(FIRST_RUN_POINTS):
            self._await_or_kill(job, [self._start_forked(job, point)])
        self._await_or_kill(job, [self._start_forked(job, "task-created", self._rng.randint(5, 20))])

    def run_and_kill(self, job: ChaosJob, kills: int) -> None:
        """Start runs of the job and kill them, `kills` times or until the job is complete.

        Random events happen at least once: two runs at the same time, a refused run, an outage.
        """
        goal = self.report.kills.total() + kills
        for _ in range(MAX_RUNS_PER_KILL * kills + MAX_RUNS_PER_KILL):
            if job.is_complete or self.report.violations:
                return
            needs_overlap, needs_outage = self._needs_overlap(job), not self.report.outages
            if self.report.kills.total() >= goal and not needs_overlap and not needs_outage:
                return
            if needs_overlap:
                self._await_or_kill(job, self._start_overlapping(job))
                continue
            count = 2 if self._rng.random() < 0.25 else 1
            self.report.overlaps += count == 2
            instances = [self._start_forked(job, *self._choose_crash_point()) for _ in range(count)]
            if self._rng.random() < 0.2:
                self.report.collectors += 1
                instances.append(self._start_forked(job, RANDOM_MOMENT, collect=True))
            if needs_outage or self._rng.random() < 0.15:
                with self._store_outage(job, instances):
                    self._await_or_kill(job, instances)
            else:
                self._await_or_kill(job, instances)

    def _needs_overlap(self, job: ChaosJob) -> bool:
        return not self.report.overlaps or (job.is_exclusive and not self.report.refused)

    def _start_overlapping(self, job: ChaosJob) -> list[RunInstance]:
        """Start two runs that work at the same time, or of which one is refused."""
        self.report.overlaps += 1
        instances = [self._start_forked(job, RANDOM_MOMENT) for _ in range(2)]

        def have_overlapped() -> bool:
            ended = any(run.process.poll() is not None for run in instances)
            return ended or (not job.is_exclusive and all(WORKING in run.log.read_text() for run in instances))

        _wait_until(have_overlapped)
        return instances

    def kill_command(self, job: ChaosJob, kills: int) -> None:
        """The same with the command that users run; Prefect's server is killed with it.

        Most runs are killed while they create tasks, because the start of Prefect takes longer than the work. The first
        one always is.
        """
        goal = self.report.command_kills + kills
        while self.report.command_kills < goal and not (job.is_complete or self.report.violations):
            self._kill_command_once(job)

    def _kill_command_once(self, job: ChaosJob) -> None:
        before = len(settled_row_ids(job))
        instance = self._start_command(["flows.label_dataset", str(job.config)])
        kill_at_work = not self.report.command_kills_at_work or self._rng.random() < 0.7
        if kill_at_work:
            _wait_until(lambda: instance.process.poll() is not None or len(listed_row_ids(job)) > before, pause=0.5)
        try:
            instance.process.wait(self._rng.uniform(0, 4) if kill_at_work else self._rng.uniform(1, 10))
        except subprocess.TimeoutExpired:
            self.report.command_kills += 1
        with suppress(ProcessLookupError):
            os.killpg(instance.process.pid, signal.SIGKILL)
        if instance.process.wait() == -signal.SIGKILL:
            self.report.command_kills_at_work += len(settled_row_ids(job)) > before
        self._check_exit(job, instance)

    def finish(self, job: ChaosJob) -> None:
        """Start runs until the job is complete; a run may end early only because of a fault or an outage."""
        output = ""
        for _ in range(MAX_FINAL_RUNS):
            if job.is_complete:
                return
            instance = self._start_forked(job)
            ended = self._wait_for_exit(job, instance, RUN_TIMEOUT)
            output = self._check_exit(job, instance)
            if not ended:  # a defect that is already reported
                return
        if not job.is_complete:
            self.report.violations.append(f"{job.name}: not complete after {MAX_FINAL_RUNS} runs: {output[-500:]}")

    def end_all(self) -> None:
        """Kill all runs that are still running."""
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)
        self._fork_server.close()

    def _choose_crash_point(self) -> tuple[str, int]:
        """A random crash point and its count: higher counts for crash points that a run reaches often.

        The points that no run has reached so far come first.
        """
        points = [point for point in self._crash_points() if point not in FIRST_RUN_POINTS]
        missing = [point for point in points if not self.report.kills[point]]
        if missing and self._rng.random() < 0.5:
            return self._rng.choice(missing), 1
        point = self._rng.choice([*points, *[RANDOM_MOMENT] * 4])
        return point, self._rng.randint(1, {"task-created": 60, "before-rename": 8, "after-rename": 8}.get(point, 3))

    def _crash_points(self) -> list[str]:
        return [point for point in CRASH_POINTS if not self.store.environment or point not in DISK_ONLY_POINTS]

    def missing_crash_points(self) -> list[str]:
        """The crash points that no run has reached."""
        return [point for point in self._crash_points() if not self.report.kills[point]]

    def _start_forked(
        self, job: ChaosJob, crash_point: str = "", nth: int = 1, *, collect: bool = False
    ) -> RunInstance:
        """Start a run whose clock may be wrong, and which may be in a PID namespace of its own."""
        clock, in_namespace = self._rng.choice(CLOCK_OFFSETS), can_create_namespaces() and self._rng.random() < 0.4
        arguments = ["--memory", str(MEMORY_MB), "--clock", str(clock), *(["--collect"] if collect else [])]
        if crash_point in CRASH_POINTS:
            arguments += ["--crash", f"{crash_point}:{nth}"]
        self.report.wrong_clocks += clock != 0
        self.report.namespaces += in_namespace
        path = self._log_path()
        path.touch()
        process = self._fork_server.start([str(job.config), *arguments], path, in_namespace=in_namespace)
        self._started.append(process)
        return RunInstance(process, path, crash_point)

    def _start_command(self, module: list[str]) -> RunInstance:
        path = self._log_path()
        with path.open("ab") as log:
            command = [sys.executable, "-m", *module]
            process = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        self._started.append(process)
        return RunInstance(process, path)

    def _log_path(self) -> Path:
        return self._folder / f"run-{len(self._started)}.txt"

    def _await_or_kill(self, job: ChaosJob, instances: list[RunInstance]) -> None:
        """Wait for the runs that have a crash point; kill the others at a random moment of their work."""
        for instance in instances:
            if instance.crash_point == RANDOM_MOMENT:
                self._wait_until_working(instance)
                with suppress(subprocess.TimeoutExpired):
                    instance.process.wait(self._rng.uniform(0, 2.5))
                instance.process.kill()
            self._wait_for_exit(job, instance, RUN_TIMEOUT)
            self._check_exit(job, instance)

    def _wait_until_working(self, instance: RunInstance) -> None:
        _wait_until(lambda: WORKING in instance.log.read_text() or instance.process.poll() is not None)

    def _wait_for_exit(self, job: ChaosJob, instance: RunInstance, seconds: float) -> bool:
        """Whether the run ended in time; a run that hangs is a violation, and is killed."""
        try:
            instance.process.wait(seconds)
        except subprocess.TimeoutExpired:
            target = f" that was to crash at {instance.crash_point}" if instance.crash_point else ""
            self.report.violations.append(f"{job.name}: a run{target} did not end in {seconds:.0f} s")
            with suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.kill(instance.process.pid, signal.SIGABRT)  # prints what its threads do
                instance.process.wait(5)
            instance.process.kill()
            return False
        return True

    @contextmanager
    def _store_outage(self, job: ChaosJob, instances: list[RunInstance]) -> Iterator[None]:
        """Let the store fail for a while, in a separate thread."""
        outage, delay, duration = self._rng.choice(self.store.outages), *(self._rng.uniform(0.5, 2.0) for _ in range(2))
        runs = [run.process.pid for run in instances]

        def fail() -> None:
            time.sleep(delay)
            self.store.fail(job.name, outage, runs)
            time.sleep(duration)
            self.store.recover(job.name, runs)

        self.report.outages[outage] += 1
        thread = threading.Thread(target=fail)
        thread.start()
        try:
            yield
        finally:
            thread.join()

    def _check_exit(self, job: ChaosJob, instance: RunInstance) -> str:
        """Record the exit of a run: 0 is complete, 1 and 2 are reported errors, -9 is a kill. Returns its output."""
        status, output = instance.process.wait(), instance.log.read_text()
        instance.log.unlink()
        self.report.refused += LEASE_REFUSED in output
        if "Traceback" in output or status not in (0, 1, 2, -signal.SIGKILL):
            self.report.violations.append(f"{job.name}: status {status}: {output[:6000]}")
        if status == 0:
            job.is_complete = True
        elif status == -signal.SIGKILL:
            if instance.crash_point:
                self.report.kills[instance.crash_point] += 1
        elif LEASE_REFUSED not in output:
            self.report.exited_early += 1
        return output


def _wait_until(check: Callable[[], object], pause: float = 0.05) -> None:
    """Wait until a condition is true, at most RUN_TIMEOUT seconds."""
    deadline = time.monotonic() + RUN_TIMEOUT
    while not check() and time.monotonic() < deadline:
        time.sleep(pause)
