"""Label a data set from Python: build a job, run the flow, use its summary.

python examples/submit_job.py MANIFEST.jsonl OUTPUT      (rows with the columns `id` and `text`)

SCALE_API_KEY holds a test key; SCALE_API_URL may point to a sandbox. The flow runs in this process and reports to the
Prefect server of PREFECT_API_URL. To let a worker run it instead:
`prefect.deployments.run_deployment("label-dataset/label", parameters={"job": job.model_dump(mode="json")})`.
"""

from __future__ import annotations

import sys

from flows.label_dataset import label_dataset
from labelflow.jobs.config import with_environment
from labelflow.jobs.job import Job


def main(manifest: str, output: str) -> None:
    job = Job.model_validate(
        {
            "name": "message-topics",
            "manifest": {"uri": manifest, "row_id": "id"},
            "task": {
                "type": "categorization",
                "instruction": "What is this message about?",
                "attachment_type": "text",
                "attachment": "{text}",
                "categories": ["delivery", "refund", "praise"],
            },
            "submit": {"max_tasks": 1000},
            "output": output,
        }
    )
    summary = label_dataset(with_environment(job))
    print(f"{summary.labeled} of {summary.rows} rows labeled, {summary.rejected} rejected, {summary.pending} pending")


if __name__ == "__main__":
    main(*sys.argv[1:])
