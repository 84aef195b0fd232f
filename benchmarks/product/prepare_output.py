"""Create the output folder of a run that has submitted every row to the stub, without sending requests.

    python -m benchmarks.product.prepare_output CONFIG --output FOLDER

It is not measured: it saves a comparison the submission of a million rows.
"""

from __future__ import annotations

import time
from contextlib import closing
from itertools import count

from benchmarks.process_metrics import report
from benchmarks.product.arguments import load_job_argument
from benchmarks.stub import created_at, task_id
from labelflow.ledger import job_record
from labelflow.planning.plan import Plan
from labelflow.records import PreparedRow, Submission
from labelflow.scale.models import parse_time


def submission(row: PreparedRow, number: int) -> Submission:
    """The submission of a row as the stub's n-th task."""
    return Submission(
        row_id=row.row_id,
        row=row.row.number,
        task_id=task_id(number),
        unique_id=row.unique_id,
        fingerprint=row.fingerprint,
        input_digest=row.input_digest,
        generation=0,
        created_at=parse_time(created_at(number)),
        attachments=[attachment.uri for attachment in row.attachments],
        source=row.source,
    )


def main() -> None:
    """Record a task for each row of the manifest."""
    job = load_job_argument(__doc__)
    started_at, numbers = time.monotonic(), count()
    with closing(Plan(job)) as plan:
        job_record.claim(plan.context.folder, job, plan.builder.source_type)
        job_record.save_config(plan.context.folder, job)
        for chunk in plan.chunks():
            bound, _ = plan.check(chunk)
            plan.context.ledger.record([submission(row, next(numbers)) for row in bound])
        report(len(plan.context.ledger), time.monotonic() - started_at)


if __name__ == "__main__":
    main()
