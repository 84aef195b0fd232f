"""Checking that attachments exist in S3."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from benchmarks.bench import BenchContext, Contender
from benchmarks.comparison import REQUEST_COLUMNS, Comparison, Target, figure_of, ratio_of
from benchmarks.processes import Server
from benchmarks.statistics import Measurement, SeriesByName
from benchmarks.workload import write_manifest

ROWS = 10_000
URIS = {"shared": "s3://shared/street/{number:08}.jpg", "scattered": "s3://scattered/{number:08}/500.jpg"}
PRODUCT, HEAD = "product", "head"
NAMES = {PRODUCT: "labelflow", HEAD: "(e) head_object for each row"}
ACCESS = {
    "AWS_ACCESS_KEY_ID": "benchmark",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
ABOUT = """\
10,000 objects, checked with `attachments: {check: exists}`: first in one folder, then one in each of 10,000 folders
with a thousand objects each. The server is a stub that computes its listings, because moto's server would be the
bottleneck."""


def make_contenders(manifests: Path, rows: int, server: Server) -> dict[str, Contender]:
    """Both contenders for both buckets."""
    environment = {**ACCESS, "AWS_ENDPOINT_URL": server.url}
    contenders: dict[str, Contender] = {}
    for bucket, uri in URIS.items():
        manifest = write_manifest(manifests / f"{bucket}.jsonl", rows, uri)
        arguments: list[object] = ["--rows", rows, "--manifest", manifest]
        for key, module in ((PRODUCT, "product.attachments"), (HEAD, "baselines.head_each")):
            options = arguments if key == PRODUCT else [*arguments, "--url", server.url]
            name = f"{NAMES[key]}, {bucket}"
            contenders[f"{key} {bucket}"] = Contender(name, rows, module, partial(_constant, options), environment)
    return contenders


def _constant(arguments: list[object], _: Path) -> list[object]:
    return arguments


def measure(bench: BenchContext) -> SeriesByName:
    """Measure all contenders against one S3 stub."""
    rows = bench.rows(ROWS)
    with bench.s3_stub(rows) as server, tempfile.TemporaryDirectory() as folder:
        return bench.run_interleaved(make_contenders(Path(folder), rows, server), server)


def requests_per_thousand(run: Measurement) -> float:
    """Requests per thousand objects."""
    return 1000 * (run.requests or 0) / run.rows


COMPARISON = Comparison(
    title="Attachments in S3",
    about=ABOUT,
    measure=measure,
    columns=REQUEST_COLUMNS,
    targets=(
        Target(
            "requests per 1,000 objects in one folder: at most 2",
            figure_of(f"{PRODUCT} shared", requests_per_thousand),
            maximum=2,
        ),
        Target(
            "objects/s in one folder, times those of (e): at least 30",
            ratio_of(f"{PRODUCT} shared", f"{HEAD} shared"),
            minimum=30,
        ),
        Target(
            "objects/s in scattered folders, times those of (e): at least 1",
            ratio_of(f"{PRODUCT} scattered", f"{HEAD} scattered"),
            minimum=1,
        ),
    ),
)
