"""Export the labels of a job: as a training set, or for a spreadsheet.

python -m flows.export_labels OUTPUT --to FORMAT --dest URI [--split PARTS] [--group-by COLUMN] [--classes A,B,C]
"""

from __future__ import annotations

if __name__ == "__main__":  # before Prefect is imported, which takes seconds: --help and usage errors are immediate
    from labelflow.cli.commands.export import prepare_export_labels

    command = prepare_export_labels()

from typing import Annotated

from prefect import flow
from pydantic import Field

from labelflow.jobs.field_types import Location
from labelflow.operations.discovery import find_single_job
from labelflow.operations.export import Export
from tasks.export import write_export

Output = Annotated[Location, Field(examples=["s3://my-bucket/labels/street-boxes"])]
Dest = Annotated[Location, Field(examples=["s3://my-bucket/exports/street-boxes-coco"])]


@flow(name="export-labels", flow_run_name="export-{output}", persist_result=False)
def export_labels(
    output: Output,
    to: str,
    dest: Dest,
    split: str | None = None,
    group_by: str | None = None,
    classes: list[str] | None = None,
) -> Export:
    """Write the labels of a job in another format. Reads the output folder only.

    Args:
        output: The job's output folder: a path or s3://bucket/prefix.
        to: The format: coco, csv or jsonl.
        dest: The folder to write to: new, empty, or of an earlier export of this job.
        split: Parts and percentages, like train=80,val=10,test=10.
        group_by: Keep rows with the same value of this carried column in one part.
        classes: The classes in the order of their ids; by default those of the job.

    Raises:
        InvalidInput: The folder has no labels, the format cannot hold them, or `dest` holds something else.
    """
    job = find_single_job(output, offline=True)
    return write_export(job, to, dest, split=split, group_by=group_by, classes=classes)


if __name__ == "__main__":
    command.finish(export_labels)
