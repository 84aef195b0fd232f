"""Large inputs, each processed by a process of its own: `python -m tests.proofs.memory.scenarios NAME FOLDER`.

It prints what was done, and the peak of its resident memory in MiB.
"""

from __future__ import annotations

import json
import re
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from labelflow.cli.gc_settings import tune_garbage_collector
from labelflow.concurrency.stop_token import StopToken
from labelflow.jobs.config import load_job
from labelflow.ledger.context import open_existing_job
from labelflow.manifests import open_manifest
from labelflow.operations.collect import collect_job
from labelflow.outputs.rejects import write_rejects
from labelflow.planning.plan import Plan


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read each row of the only manifest in the folder."""
    (path,) = folder.glob("manifest.*")
    rows = valid = 0
    for row in open_manifest(str(path)).rows:
        rows, valid = rows + 1, valid + (row.problem is None)
    return {"rows": rows, "valid": valid}


def plan(folder: Path) -> dict[str, Any]:
    """Check each row of a manifest, and write the rejects."""
    with closing(Plan(load_job(str(folder / "job.yaml")))) as opened:
        preview = opened.preview()
        write_rejects(opened.context.folder, opened.unsubmitted.rejected, opened.manifest.schema)
        return {"rows": preview.rows, "valid": preview.create}


def collect(folder: Path) -> dict[str, Any]:
    """Collect and compact the answers of a job that has its tasks."""
    with closing(open_existing_job(load_job(str(folder / "job.yaml")), StopToken())) as context:
        result = collect_job(context)
    return {"rows": result.labeled + result.errors + result.waiting, "valid": result.labeled}


def peak_mebibytes() -> int:
    """The peak of the resident memory of this process since it was executed."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) // 1024  # type: ignore[index]


if __name__ == "__main__":
    name, path = sys.argv[1:]
    tune_garbage_collector()
    done = {"read_manifest": read_manifest, "plan": plan, "collect": collect}[name](Path(path))
    print(json.dumps({**done, "peak": peak_mebibytes()}))
