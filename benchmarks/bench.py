"""What a comparison has at hand: inputs of any size, servers, and runs of its sides that take turns."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import processes
from benchmarks.certificate import make_certificate
from benchmarks.processes import Server, running_server
from benchmarks.statistics import Measurement, Series, SeriesByName
from benchmarks.workload import write_config, write_manifest

SINGLE_RUN_SECONDS = 60.0  # seconds of work: what takes longer is run once
QUICK_ROWS = 20


@dataclass(frozen=True, slots=True)
class Workload:
    """A manifest of so many rows, and a job over it."""

    rows: int
    manifest: Path
    config: Path


@dataclass(frozen=True, slots=True)
class Contender:
    """One of those that are compared: a module that is run as a process of its own, again and again.

    rows: how many it is through with at its end. arguments: made of a fresh folder for each run. prepare: done to that
    folder before, and not measured. curve: the line of the plots that it is a point of. pin: to one core.
    """

    name: str
    rows: int
    module: str
    arguments: Callable[[Path], list[object]]
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[Path], object] = lambda _: None
    curve: str | None = None
    pin: bool = True


class BenchContext:
    """Where measurements take place.

    folder: for everything that is written, and is gone at the end. environment: of every process that is measured.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], *, runs: int, quick: bool) -> None:
        self._folder = folder
        self.environment = environment
        self._runs = runs
        self.quick = quick
        self._lock = threading.RLock()
        self._prepared: set[str] = set()  # names of folders that were made

    def rows(self, wanted: int) -> int:
        """So many rows, or a handful in a quick run."""
        return QUICK_ROWS if self.quick else wanted

    def workload(self, rows: int) -> Workload:
        """A manifest and a job of so many rows, made once."""

        def make(folder: Path) -> None:
            folder.mkdir()
            write_config(folder / "job.yaml", write_manifest(folder / "manifest.jsonl", rows))

        folder = self._prepare_once(f"work-{rows}", make)
        return Workload(rows, folder / "manifest.jsonl", folder / "job.yaml")

    def submitted_output(self, rows: int) -> Path:
        """An output folder in which every row has its task, and none has been answered; made once."""

        def make(output: Path) -> None:
            self._run("product.prepare_output", [self.workload(rows).config, "--output", output], {}, rows)

        return self._prepare_once(f"submitted-{rows}", make)

    def labeled_output(self, rows: int) -> Path:
        """An output folder of a job whose every row is labeled; made once."""

        def make(output: Path) -> None:
            shutil.copytree(self.submitted_output(rows), output)
            with self.api_stub(completed=rows) as server:
                self._run(
                    "product.collect",
                    [self.workload(rows).config, "--output", output],
                    server_environment(server),
                    rows,
                )

        return self._prepare_once(f"finished-{rows}", make)

    def _prepare_once(self, name: str, make: Callable[[Path], None]) -> Path:
        """A folder that is there, and whole."""
        folder = self._folder / name
        with self._lock:
            if name not in self._prepared:
                make(folder)
                self._prepared.add(name)
        return folder

    @contextmanager
    def api_stub(self, *, completed: int = 0, latency: float = 0.0, tls: bool = False) -> Iterator[Server]:
        """The stub of the Scale API. latency: milliseconds added to each answer."""
        certificate = make_certificate(Path(tempfile.mkdtemp(dir=self._folder))) if tls else None
        options: list[object] = ["--completed", completed, "--latency", latency]
        options += ["--tls", certificate.parent] if certificate else []
        with running_server("benchmarks.stub", *options, certificate=certificate, pin=not self.quick) as server:
            yield server

    @contextmanager
    def s3_stub(self, objects: int) -> Iterator[Server]:
        """The stub of S3."""
        with running_server("benchmarks.s3_stub", "--objects", objects, pin=not self.quick) as server:
            yield server

    def run_interleaved(self, contenders: Mapping[str, Contender], server: Server | None = None) -> SeriesByName:
        """Run all sides, then all again: what drifts on the machine meets all of them."""
        found: dict[str, list[Measurement]] = {name: [] for name in contenders}
        for number in range(self._runs):
            for name, side in contenders.items():
                if number == 0 or found[name][0].seconds < SINGLE_RUN_SECONDS:
                    found[name].append(self._measure(side, server))
        return {name: Series(name=side.name, curve=side.curve, runs=found[name]) for name, side in contenders.items()}

    def _measure(self, contender: Contender, server: Server | None) -> Measurement:
        environment = {**server_environment(server), **contender.environment}
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            contender.prepare(Path(folder))
            before = server.request_count() if server else 0
            measured = self._run(
                contender.module, contender.arguments(Path(folder)), environment, contender.rows, pin=contender.pin
            )
            if server:
                measured = measured.model_copy(update={"requests": server.request_count() - before})
        words = f"{contender.name}: {measured.rows:,} rows, {measured.seconds:.2f} s, {measured.peak_mb:.0f} MB"
        print(words, file=sys.stderr, flush=True)
        return measured

    def _run(
        self, module: str, arguments: list[object], environment: Mapping[str, str], rows: int, *, pin: bool = True
    ) -> Measurement:
        everything = {**self.environment, **environment}
        output, total = processes.run_module(f"benchmarks.{module}", arguments, everything, pin=pin and not self.quick)
        reported = json.loads(next(line for line in reversed(output.splitlines()) if line.startswith('{"rows"')))
        if reported["rows"] != rows:
            raise RuntimeError(f"{module} is through with {reported['rows']} rows, not {rows}")
        own = {name: reported.pop(name) for name in ("rows", "seconds", "peak_mb")}
        return Measurement(**own, total_seconds=round(total, 3), extra=reported)


def server_environment(server: Server | None) -> dict[str, str]:
    """The environment that leads to a server, by the variables that users set."""
    if server is None:
        return {}
    trusted = {"REQUESTS_CA_BUNDLE": str(server.certificate)} if server.certificate else {}
    return {"SCALE_API_URL": server.url, **trusted}
