"""The attachments of a manifest, looked up as a run does it: in chunks of a thousand rows, a few at once.

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

CHUNKS_AT_ONCE = 3  # as flows/runners.py has it


def main() -> None:
    """Look, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, required=True, metavar="N")
    parser.add_argument("--manifest", type=Path, required=True, metavar="JSONL")
    given = parser.parse_args()
    s3_client.client()  # boto3 takes its time to import
    begun = time.monotonic()
    wanted = [Attachment("attachment", row["image"], "image") for row in read_manifest(given.manifest, given.rows)]
    chunks = [wanted[start : start + CHUNK_ROWS] for start in range(0, len(wanted), CHUNK_ROWS)]
    with (
        AttachmentChecker(CheckLevel.EXISTS, threads=THREADS) as checker,
        ThreadPoolExecutor(CHUNKS_AT_ONCE) as at_once,
    ):
        if any(map(any, at_once.map(checker.check, chunks))):
            sys.exit("an object was not found")
    report(len(wanted), time.monotonic() - begun)


if __name__ == "__main__":
    main()
