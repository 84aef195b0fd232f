"""The Python API, for notebooks and other orchestrators. Prefect is not needed.

>>> import labelflow
>>> job = labelflow.load_job("my-job.yaml")
>>> labelflow.label(job).labeled
3
>>> labelflow.read_labels(job.output)["row_id"].to_pylist()
['a', 'b', 'c']
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import pyarrow as pa

from labelflow.accounting.summary import Summary
from labelflow.errors import InvalidInput
from labelflow.jobs.config import load_job, with_environment
from labelflow.jobs.job import Job
from labelflow.ledger.context import open_existing_job
from labelflow.operations import collect as operation
from labelflow.operations import label as labeling
from labelflow.operations.collect import CollectionResult, collect_each
from labelflow.operations.discovery import find_jobs
from labelflow.operations.status import JobStatus, read_status
from labelflow.outputs.folders import LABELS
from labelflow.planning.plan import Plan
from labelflow.planning.relabel.relabeling import RelabelMode
from labelflow.storage.opening import open_output
from labelflow.tables.part_files import list_parts, read_part, retry_listing

if TYPE_CHECKING:
    pass

__all__ = ["Job", "Summary", "collect", "label", "load_job", "read_labels", "status"]


def label(
    job: Job,
    *,
    limit: int | None = None,
    wait: bool = True,
    relabel: RelabelMode | str | None = None,
    rows: str | None = None,
) -> Summary:
    """Create one task per row of the job's manifest that has none, collect the answers, and return the counts.

    Args:
        job: From `load_job`, or built in Python; SCALE_API_URL applies unless it sets `scale.url`.
        limit: Submit only rows among the first `limit` of the manifest.
        wait: Until every task has finished, or the job's timeout. Otherwise collect once.
        relabel, rows: As the options --relabel and --rows of label_dataset.

    Safe to call again after any failure: a row that has a task is not submitted a second time. Raises InvalidInput if
    the job, its manifest or its key is not valid, before anything is sent; TooManyUnlabeled if so many rows are
    invalid that the submission stops. A row without a label is in the counts and raises nothing.
    """
    mode = RelabelMode(relabel) if relabel is not None else None
    return labeling.label(Plan(with_environment(job), limit=limit, relabel=mode, rows=rows), wait=wait)


def collect(output: str) -> list[CollectionResult]:
    """Collect the finished answers once, for each job whose output is this folder or one below it.

    output: path or s3://bucket/prefix. Raises InvalidInput if there is no job, and CollectionFailed, after all jobs
    were collected that can be, if one failed. A job whose URL or secrets differ from the defaults must be trusted, see
    docs/operate.md.
    """
    discovered = list(find_jobs(output))
    if not discovered:
        raise InvalidInput(output, "contains no job, neither do its subfolders", "give the output folder of a job")
    return collect_each(discovered, _collect, lambda name, error: None)


def _collect(job: Job) -> CollectionResult:
    with closing(open_existing_job(job)) as opened:
        return operation.collect_job(opened)


def status(output: str) -> list[JobStatus]:
    """Return how each job stands whose output is this folder or one below it. Nothing is requested from the API.

    Raises the error of the first job that cannot be read.
    """
    return [read_status(found.require_job()) for found in find_jobs(output, offline=True)]


def read_labels(output: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the labels of a job, in the order of the files. `.to_pandas()` makes a DataFrame of them.

    output: the job's output folder, path or s3://bucket/prefix. columns: only these, in this order; docs/labels.md
    lists all. Raises InvalidInput if there are no labels, and RunAborted if a file cannot be read.
    """
    folder = open_output(output)

    def read() -> list[pa.Table]:
        names = list_parts(folder, LABELS)
        return [read_part(folder, name, None if columns is None else list(columns)) for name in names]

    tables = retry_listing(read)
    if not tables:
        raise InvalidInput(f"output {output}", "holds no labels", "run label_dataset first")
    return pa.concat_tables(tables)
