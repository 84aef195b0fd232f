"""Checking that attachments in S3 are there."""

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
PRODUCT, HEAD = "ours", "head"
NAMES = {PRODUCT: "labelflow", HEAD: "(e) head_object for each row"}
ACCESS = {
    "AWS_ACCESS_KEY_ID": "benchmark",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
ABOUT = """\
10,000 objects, looked up with `attachments: {check: exists}`: first in one folder, then one in each of 10,000 folders
that hold a thousand. The server is a stub that makes its listings out of arithmetic, for moto's would be the limit of
both sides."""


def contenders(manifests: Path, rows: int, server: Server) -> dict[str, Contender]:
    """Both, for both buckets."""
    environment = {**ACCESS, "AWS_ENDPOINT_URL": server.url}
    found: dict[str, Contender] = {}
    for bucket, uri in URIS.items():
        manifest = write_manifest(manifests / f"{bucket}.jsonl", rows, uri)
        arguments: list[object] = ["--rows", rows, "--manifest", manifest]
        for side, module in ((PRODUCT, "product.attachments"), (HEAD, "baselines.head_each")):
            given = arguments if side == PRODUCT else [*arguments, "--url", server.url]
            name = f"{NAMES[side]}, {bucket}"
            found[f"{side} {bucket}"] = Contender(name, rows, module, partial(_constant, given), environment)
    return found


def _constant(arguments: list[object], _: Path) -> list[object]:
    return arguments


def measure(bench: BenchContext) -> SeriesByName:
    """All against one S3."""
    rows = bench.rows(ROWS)
    with bench.s3_stub(rows) as server, tempfile.TemporaryDirectory() as folder:
        return bench.run_interleaved(contenders(Path(folder), rows, server), server)


def requests_per_thousand(run: Measurement) -> float:
    """Requests for a thousand objects."""
    return 1000 * (run.requests or 0) / run.rows


COMPARISON = Comparison(
    title="Attachments in S3",
    about=ABOUT,
    measure=measure,
    columns=REQUEST_COLUMNS,
    targets=(
        Target(
            "requests for 1,000 objects in one folder: at most 2",
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
