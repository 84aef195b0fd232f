"""Check the attachments of a manifest as a run does: in chunks of a thousand rows, a few at the same time.

python -m benchmarks.product.attachments --rows N --manifest JSONL
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.process_metrics import report
from benchmarks.workload import THREADS, read_manifest
from labelflow.attachments import Attachment, AttachmentChecker, CheckLevel
from labelflow.planning.chunk import CHUNK_ROWS
from labelflow.storage import s3_client

MAX_CHUNKS_IN_FLIGHT = 3  # as in flows/runners.py


def main() -> None:
    """Check all attachments and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, required=True, metavar="N")
    parser.add_argument("--manifest", type=Path, required=True, metavar="JSONL")
    options = parser.parse_args()
    s3_client.client()  # imports boto3, which is not measured
    started_at = time.monotonic()
    attachments = [
        Attachment("attachment", row["image"], "image") for row in read_manifest(options.manifest, options.rows)
    ]
    chunks = [attachments[start : start + CHUNK_ROWS] for start in range(0, len(attachments), CHUNK_ROWS)]
    with (
        AttachmentChecker(CheckLevel.EXISTS, threads=THREADS, allow_private=True) as checker,
        ThreadPoolExecutor(MAX_CHUNKS_IN_FLIGHT) as pool,
    ):
        inspections = (inspection for chunk in pool.map(checker.inspect, chunks) for inspection in chunk)
        if any(inspection.problem for inspection in inspections):
            sys.exit("an object was not found")
    report(len(attachments), time.monotonic() - started_at)


if __name__ == "__main__":
    main()
