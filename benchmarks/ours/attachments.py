"""The attachments of a manifest, looked up as a run does it: a chunk of a thousand rows at a time.

python -m benchmarks.ours.attachments --rows N --manifest JSONL
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from benchmarks.measuring import tell
from benchmarks.work import THREADS, read_manifest
from labeling import s3
from labeling.attachments import Attachment, AttachmentChecker, CheckLevel
from labeling.plan import CHUNK_ROWS


def main() -> None:
    """Look, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, required=True, metavar="N")
    parser.add_argument("--manifest", type=Path, required=True, metavar="JSONL")
    given = parser.parse_args()
    s3.client()  # boto3 takes its time to import
    begun = time.monotonic()
    wanted = [Attachment("attachment", row["image"], "image") for row in read_manifest(given.manifest, given.rows)]
    with AttachmentChecker(CheckLevel.EXISTS, threads=THREADS) as checker:
        for start in range(0, len(wanted), CHUNK_ROWS):
            if any(checker.check(wanted[start : start + CHUNK_ROWS])):
                sys.exit("an object was not found")
    tell(len(wanted), time.monotonic() - begun)


if __name__ == "__main__":
    main()
