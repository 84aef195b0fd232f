"""The lives of a run: started, killed, started again, until its job is through."""

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

from tests.acceptance.chaos.audit import KEY, all_tasks_of, tasks_of
from tests.acceptance.chaos.crash_points import ON_DISK_ONLY, PLACES
from tests.acceptance.chaos.fork_server import Child, Nursery
from tests.acceptance.chaos.run_process import AT_WORK
from tests.acceptance.chaos.stores import Store
from tests.acceptance.chaos.tally import Tally

ROOT = Path(__file__).parents[3]
LONGEST_LIFE = 120.0  # seconds: a run that takes longer hangs
MOST_ENDINGS = 20
LIVES_A_KILL = 5  # runs that end by themselves before they are killed: more of them, and `finish` tells why
AT_RANDOM = "at random"
REFUSED = "another run of this job is at work"


@dataclass
class Job:
    """A job that is being labeled. document: its config; knows_ids: whether the API has `unique_id`."""

    document: dict[str, Any]
    config: Path
    manifest: Path
    url: str  # of the API
    begun_at: str
    knows_ids: bool
    is_through: bool = False

    @property
    def name(self) -> str:
        return str(self.document["name"])

    @property
    def output(self) -> str:
        return str(self.document["output"])

    @property
    def cap(self) -> int | None:
        """The tasks that it may have by now."""
        cap: int | None = self.document["submit"]["max_tasks"]
        return cap

    @property
    def is_exclusive(self) -> bool:
        """Whether a second run at the same time is to be refused."""
        return self.cap is not None or not self.knows_ids

    def submit_with(self, rate: int, cap: int | None = None) -> None:
        """From its next run on it submits so fast, and so many."""
        self.document["submit"] = {"concurrency": 8, "rate": f"{rate}/s", "max_tasks": cap}
        self.config.write_text(yaml.safe_dump(self.document))
        self.is_through = False


@dataclass
class Life:
    """A run that was started; where: the place of the death that it is aimed at, or AT_RANDOM."""

    process: subprocess.Popen[bytes] | Child
    log: Path
    where: str = ""


class Lives:
    """Starts runs of a job, and ends them."""

    def __init__(self, store: Store, folder: Path, chance: random.Random, tally: Tally) -> None:
        self.store = store
        self.tally = tally
        self._folder = folder
        self._chance = chance
        self._started: list[subprocess.Popen[bytes] | Child] = []
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "SCALE_", "AWS_"))
        }
        self._environment = {
            **kept,
            **store.environment,
            "SCALE_API_KEY": KEY,
            "PYTHONPATH": str(ROOT),
            "PREFECT_HOME": str(folder / "prefect"),
        }
        self._nursery = Nursery(ROOT, self._environment)

    def die_with_unrecorded_tasks(self, job: Job) -> None:
        """One run that dies when the server has some tasks which the ledger has not."""
        self._end(job, [self._start_driven(job, "task-created", self._chance.randint(5, 20))])

    def live_and_die(self, job: Job, kills: int) -> None:
        """Start runs of the job and kill them, so many times or until it is through.

        Of what is left to chance the first comes for sure: two runs at once, one of them refused, an outage.
        """
        goal = self.tally.kills.total() + kills
        for _ in range(LIVES_A_KILL * kills + LIVES_A_KILL):
            if job.is_through or self.tally.wrong:
                return
            owes_pair, owes_outage = self._owes_pair(job), not self.tally.outages
            if self.tally.kills.total() >= goal and not owes_pair and not owes_outage:
                return
            if owes_pair:
                self._end(job, self._meet(job))
                continue
            at_once = 2 if self._chance.random() < 0.25 else 1
            self.tally.pairs += at_once == 2
            lives = [self._start_driven(job, *self._aim()) for _ in range(at_once)]
            if owes_outage or self._chance.random() < 0.15:
                with self._outage(job, lives):
                    self._end(job, lives)
            else:
                self._end(job, lives)

    def _owes_pair(self, job: Job) -> bool:
        return not self.tally.pairs or (job.is_exclusive and not self.tally.refused)

    def _meet(self, job: Job) -> list[Life]:
        """Two runs that are at work at the same time, or one of them refused."""
        self.tally.pairs += 1
        lives = [self._start_driven(job, AT_RANDOM) for _ in range(2)]

        def have_met() -> bool:
            ended = any(life.process.poll() is not None for life in lives)
            return ended or (not job.is_exclusive and all(AT_WORK in life.log.read_text() for life in lives))

        _wait_until(have_met)
        return lives

    def die_as_command(self, job: Job, kills: int) -> None:
        """The same with the command that users run; Prefect's server is killed with it.

        Most are killed at work, for the start of Prefect takes longer than the work; the first one for sure.
        """
        goal = self.tally.command_kills + kills
        while self.tally.command_kills < goal and not (job.is_through or self.tally.wrong):
            self._die_once_as_command(job)

    def _die_once_as_command(self, job: Job) -> None:
        before = len(all_tasks_of(job))
        life = self._start(["flows.label_dataset", str(job.config)])
        at_work = not self.tally.command_kills_at_work or self._chance.random() < 0.7
        if at_work:
            _wait_until(lambda: life.process.poll() is not None or len(tasks_of(job)) > before, pause=0.5)
        try:
            life.process.wait(self._chance.uniform(0, 4) if at_work else self._chance.uniform(1, 10))
        except subprocess.TimeoutExpired:
            self.tally.command_kills += 1
        with suppress(ProcessLookupError):
            os.killpg(life.process.pid, signal.SIGKILL)
        if life.process.wait() == -signal.SIGKILL:
            self.tally.command_kills_at_work += len(all_tasks_of(job)) > before
        self._judge(job, life)

    def finish(self, job: Job) -> None:
        """Start runs until the job is through; they end early only where a fault or an outage lets them."""
        said = ""
        for _ in range(MOST_ENDINGS):
            if job.is_through:
                return
            life = self._start_driven(job)
            ended = self._wait(job, life, LONGEST_LIFE)
            said = self._judge(job, life)
            if not ended:  # a defect, told already: what is there is counted
                return
        if not job.is_through:
            self.tally.wrong.append(f"{job.name}: was not through after {MOST_ENDINGS} runs: {said[-500:]}")

    def end_all(self) -> None:
        """Leave no run behind, also where the proof itself is broken off."""
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)
        self._nursery.close()

    def _aim(self) -> tuple[str, int]:
        """Where the next run is to die, and when it comes by for which time: places that are passed often, later."""
        places = [place for place in PLACES if not self.store.environment or place not in ON_DISK_ONLY]
        where = self._chance.choice([*places, *[AT_RANDOM] * 4])
        return where, self._chance.randint(1, {"task-created": 60, "before-rename": 8, "after-rename": 8}.get(where, 3))

    def _start_driven(self, job: Job, where: str = "", times: int = 1) -> Life:
        aim = ["--die", f"{where}:{times}"] if where in PLACES else []
        path = self._log()
        path.touch()
        child = self._nursery.start([str(job.config), *aim], path)
        self._started.append(child)
        return Life(child, path, where)

    def _start(self, module: list[str]) -> Life:
        path = self._log()
        with path.open("ab") as log:
            command = [sys.executable, "-m", *module]
            process = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        self._started.append(process)
        return Life(process, path)

    def _log(self) -> Path:
        return self._folder / f"run-{len(self._started)}.txt"

    def _end(self, job: Job, lives: list[Life]) -> None:
        """Wait for the deaths that were aimed at, and kill the others at a random moment of their work."""
        for life in lives:
            if life.where == AT_RANDOM:
                self._wait_for_work(life)
                with suppress(subprocess.TimeoutExpired):
                    life.process.wait(self._chance.uniform(0, 2.5))
                life.process.kill()
            self._wait(job, life, LONGEST_LIFE)
            self._judge(job, life)

    def _wait_for_work(self, life: Life) -> None:
        _wait_until(lambda: AT_WORK in life.log.read_text() or life.process.poll() is not None)

    def _wait(self, job: Job, life: Life, seconds: float) -> bool:
        """Whether the run ended by itself; one that hangs is a defect, and is killed."""
        try:
            life.process.wait(seconds)
        except subprocess.TimeoutExpired:
            aim = f" that was to die at {life.where}" if life.where else ""
            self.tally.wrong.append(f"{job.name}: a run{aim} did not end in {seconds:.0f} s")
            life.process.kill()
            return False
        return True

    @contextmanager
    def _outage(self, job: Job, lives: list[Life]) -> Iterator[None]:
        """The store fails for a while, beside what is done meanwhile."""
        how, begin, last = self._chance.choice(self.store.outages), *(self._chance.uniform(0.5, 2.0) for _ in range(2))
        runs = [life.process.pid for life in lives]

        def fail() -> None:
            time.sleep(begin)
            self.store.fail(job.name, how, runs)
            time.sleep(last)
            self.store.recover(job.name, runs)

        self.tally.outages[how] += 1
        thread = threading.Thread(target=fail)
        thread.start()
        try:
            yield
        finally:
            thread.join()

    def _judge(self, job: Job, life: Life) -> str:
        """What the end of a run says: 0 is through, 1 and 2 have said why, -9 was us. Returns what it said."""
        status, said = life.process.wait(), life.log.read_text()
        life.log.unlink()
        self.tally.refused += REFUSED in said
        if "Traceback" in said or status not in (0, 1, 2, -signal.SIGKILL):
            self.tally.wrong.append(f"{job.name}: status {status}: {said[-2000:]}")
        if status == 0:
            job.is_through = True
        elif status == -signal.SIGKILL:
            if life.where:
                self.tally.kills[life.where] += 1
        elif REFUSED not in said:
            self.tally.ended_early += 1
        return said


def _wait_until(check: Callable[[], object], pause: float = 0.05) -> None:
    """Until something is so, or no run would have lived so long."""
    deadline = time.monotonic() + LONGEST_LIFE
    while not check() and time.monotonic() < deadline:
        time.sleep(pause)
