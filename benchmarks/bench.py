"""Tools for comparisons: inputs of any size, stub servers, interleaved runs of the contenders."""

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

SINGLE_RUN_SECONDS = 60.0  # a contender that takes longer is run only once
QUICK_ROWS = 20


@dataclass(frozen=True, slots=True)
class Workload:
    """A manifest with a number of rows, and a job for it."""

    rows: int
    manifest: Path
    config: Path


@dataclass(frozen=True, slots=True)
class Contender:
    """One of the compared programs: a module that runs as a separate process, several times.

    rows: the number that it has processed at its end. arguments: built from a new folder for each run. prepare: called
    with that folder before the run, not measured. curve: its line in the plots. pin: run it on one core.
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
    """The context of all measurements.

    folder: temporary folder for all files. environment: environment variables of every measured process.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], *, runs: int, quick: bool) -> None:
        self._folder = folder
        self.environment = environment
        self._runs = runs
        self.quick = quick
        self._lock = threading.RLock()
        self._prepared: set[str] = set()  # names of folders that exist and are complete

    def rows(self, wanted: int) -> int:
        """The requested number of rows, or a few in a quick run."""
        return QUICK_ROWS if self.quick else wanted

    def workload(self, rows: int) -> Workload:
        """A manifest and a job with this number of rows, created once."""

        def make(folder: Path) -> None:
            folder.mkdir()
            write_config(folder / "job.yaml", write_manifest(folder / "manifest.jsonl", rows))

        folder = self._prepare_once(f"work-{rows}", make)
        return Workload(rows, folder / "manifest.jsonl", folder / "job.yaml")

    def submitted_output(self, rows: int) -> Path:
        """An output folder in which every row has a pending task; created once."""

        def make(output: Path) -> None:
            self._run("product.prepare_output", [self.workload(rows).config, "--output", output], {}, rows)

        return self._prepare_once(f"submitted-{rows}", make)

    def labeled_output(self, rows: int) -> Path:
        """An output folder of a job whose rows are all labeled; created once."""

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
        """A folder that exists and is complete: created at the first call."""
        folder = self._folder / name
        with self._lock:
            if name not in self._prepared:
                make(folder)
                self._prepared.add(name)
        return folder

    @contextmanager
    def api_stub(self, *, completed: int = 0, latency: float = 0.0, tls: bool = False) -> Iterator[Server]:
        """The stub of the Scale API. latency: milliseconds added to each response."""
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
        """Run all contenders in turn, several times, so that changes of the machine's load affect all of them."""
        runs: dict[str, list[Measurement]] = {name: [] for name in contenders}
        for number in range(self._runs):
            for name, contender in contenders.items():
                if number == 0 or runs[name][0].seconds < SINGLE_RUN_SECONDS:
                    runs[name].append(self._measure(contender, server))
        return {
            name: Series(name=contender.name, curve=contender.curve, runs=runs[name])
            for name, contender in contenders.items()
        }

    def _measure(self, contender: Contender, server: Server | None) -> Measurement:
        environment = {**server_environment(server), **contender.environment}
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            contender.prepare(Path(folder))
            before = server.request_count() if server else 0
            measurement = self._run(
                contender.module, contender.arguments(Path(folder)), environment, contender.rows, pin=contender.pin
            )
            if server:
                measurement = measurement.model_copy(update={"requests": server.request_count() - before})
        text = f"{contender.name}: {measurement.rows:,} rows, {measurement.seconds:.2f} s, {measurement.peak_mb:.0f} MB"
        print(text, file=sys.stderr, flush=True)
        return measurement

    def _run(
        self, module: str, arguments: list[object], environment: Mapping[str, str], rows: int, *, pin: bool = True
    ) -> Measurement:
        variables = {**self.environment, **environment}
        output, total = processes.run_module(f"benchmarks.{module}", arguments, variables, pin=pin and not self.quick)
        reported = json.loads(next(line for line in reversed(output.splitlines()) if line.startswith('{"rows"')))
        if reported["rows"] != rows:
            raise RuntimeError(f"{module} processed {reported['rows']} rows, not {rows}")
        standard = {name: reported.pop(name) for name in ("rows", "seconds", "peak_mb")}
        return Measurement(**standard, total_seconds=round(total, 3), extra=reported)


def server_environment(server: Server | None) -> dict[str, str]:
    """Environment variables that point clients to a server, as users set them."""
    if server is None:
        return {}
    trusted = {"REQUESTS_CA_BUNDLE": str(server.certificate)} if server.certificate else {}
    return {"SCALE_API_URL": server.url, **trusted}
