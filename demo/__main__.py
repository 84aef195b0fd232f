"""Run the three jobs of configs/ without an account: `make demo`.

Starts the sandbox, a local S3 server and a Prefect server on free ports, uploads the sample data sets, runs the jobs as
a user would, and prints the first rows of their output.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pandas as pd
from moto.server import ThreadedMotoServer

from demo.prefect_server import starting_prefect_server, wait_until_ready
from demo.samples import make_samples, write_manifests
from labelflow.jobs.config import load_job
from labelflow.sandbox.testing import running as running_sandbox

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "demo" / ".samples"
BUCKET = "labelflow-demo"
SECRET = "no-secret-at-all"  # the local S3 server accepts any
JOBS = ["street-boxes", "call-transcripts", "message-categories"]
SHOWN_ROWS = 3
MAX_CELL_WIDTH = 60
HIDDEN = ["task_id", "unique_id", "task_type", "attachments", "source", "response_json", "category_id", "created_at"]


def main() -> int:
    """Run the demo; returns the highest exit status of its jobs."""
    isolated = _isolate_prefect()
    with starting_prefect_server(isolated) as prefect_url, s3_server() as s3_url, running_sandbox() as api_url:
        print("Creating the sample data …", flush=True)
        make_samples(SAMPLES)
        upload(s3_url)
        environment = {
            **isolated,
            **s3_access(s3_url),
            "PREFECT_API_URL": prefect_url,
            "SCALE_API_URL": api_url,
            "SCALE_API_KEY": "test_demo",
        }
        wait_until_ready(prefect_url)
        status = max(_run_job(name, environment) for name in JOBS)
    for name in JOBS:
        _show_output(ROOT / "out" / name)
    return status


@contextmanager
def s3_server() -> Iterator[str]:
    """Run a local S3 server; yields its URL."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def s3_access(url: str) -> dict[str, str]:
    """Environment variables that point boto3 to a local S3 server."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def _isolate_prefect() -> dict[str, str]:
    """A copy of the environment with a separate PREFECT_HOME: the user's server and profile stay unchanged."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "AWS_"))}
    return {**inherited, "PREFECT_HOME": str(ROOT / "out" / ".prefect")}


def upload(s3_url: str) -> None:
    """Create the bucket and upload the samples and their manifests."""
    access = {"aws_access_key_id": "demo", "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=s3_url, **access)  # type: ignore[call-overload]
    client.create_bucket(Bucket=BUCKET)
    with tempfile.TemporaryDirectory() as folder:
        manifests = write_manifests(Path(folder), f"s3://{BUCKET}")
        files = [(path, f"manifests/{path.name}") for path in manifests.values()]
        files += [(path, f"{path.parent.name}/{path.name}") for path in sorted(SAMPLES.glob("*/*")) if path.is_file()]
        for path, key in files:
            with path.open("rb") as body:
                client.put_object(Bucket=BUCKET, Key=key, Body=body)
    print(f"Uploaded {len(files)} files to s3://{BUCKET}.\n", flush=True)


def _run_job(name: str, environment: dict[str, str]) -> int:
    config = f"configs/{name}.yaml"
    shutil.rmtree(ROOT / load_job(str(ROOT / config)).output, ignore_errors=True)
    print(f"$ python -m flows.label_dataset {config}", flush=True)
    status = subprocess.run([sys.executable, "-m", "flows.label_dataset", config], cwd=ROOT, env=environment).returncode
    print(flush=True)
    return status


def _show_output(output: Path) -> None:
    labels = pd.read_parquet(output / "labels")
    rejects = pd.read_parquet(output / "rejects")
    print(f"── {output.relative_to(ROOT)}: {len(labels)} labels, {len(rejects)} rejects\n")
    _print_table(labels.drop(columns=HIDDEN, errors="ignore").head(SHOWN_ROWS))
    _print_table(rejects[["reject_row", "reject_row_id", "reject_field", "reject_reason"]])
    print(f"pandas.read_parquet({str(output.relative_to(ROOT) / 'labels')!r})\n")


def _print_table(table: pd.DataFrame) -> None:
    print(table.map(abbreviate).to_string(index=False), end="\n\n")


def abbreviate(value: Any) -> str:
    """A cell value as one short line: times without fractions of a second, long text cut off."""
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    text = str(list(value)) if isinstance(value, np.ndarray) else "" if pd.isna(value) else str(value)
    return text if len(text) <= MAX_CELL_WIDTH else f"{text[: MAX_CELL_WIDTH - 1]}…"


if __name__ == "__main__":
    sys.exit(main())
