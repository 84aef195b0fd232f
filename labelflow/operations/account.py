"""One account for an output folder whose ledger is still empty: interrupted and active runs must use the same key.

A ledger with tasks shows the account by itself, see `labelflow.ledger.context.check_account`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from labelflow.concurrency.lease import RUNS
from labelflow.concurrency.lease_record import LeaseRecord
from labelflow.errors import InvalidInput, RunAborted
from labelflow.jobs.credentials.keys import read_key
from labelflow.jobs.job import Job
from labelflow.ledger.context import ConnectedJob
from labelflow.network.addresses import is_loopback
from labelflow.submission.reconciliation import UnrecordedTasks, find_unrecorded_tasks


def account_digest(job: Job) -> str:
    """Return 16 hexadecimal digits that identify the job's server and API key, and reveal neither.

    The port of a server on this machine does not count: a sandbox has another one after each start.
    Raises InvalidInput as `read_key` does.
    """
    parts = urlsplit(job.scale.url)
    port = None if is_loopback(job.scale.url) else parts.port
    return hashlib.sha256(f"{parts.hostname} {port} {read_key(job)}".encode()).hexdigest()[:16]


def list_unrecorded(
    context: ConnectedJob, abandoned: Sequence[LeaseRecord], check: Callable[[], None]
) -> UnrecordedTasks:
    """Return the tasks that interrupted runs have created and not recorded; reads the listing if there is such a run.

    abandoned: the lease records of these runs. check: called for each page of the listing; raises to stop.
    Raises InvalidInput if such a run used another server or key, and neither the ledger nor the listing shows that both
    belong to one account.
    """
    if not abandoned:
        return {}
    unrecorded = find_unrecorded_tasks(context, min(record.since for record in abandoned), check)
    foreign = _first_foreign(context.job, abandoned)
    if foreign and not unrecorded and not len(context.ledger):
        raise InvalidInput(
            f"output {context.folder.uri}",
            f"an interrupted run ({foreign}) used another server or API key, and may have created tasks there",
            f"use its scale.url and key, or another output; if it created no task, delete {RUNS}{foreign.id}.json",
        )
    return unrecorded


def check_active_runs(context: ConnectedJob, active: Sequence[LeaseRecord]) -> None:
    """Raise RunAborted if an active run of a job without recorded tasks uses another server or API key."""
    foreign = _first_foreign(context.job, active)
    if foreign and not len(context.ledger):
        reason = f"another run of this job ({foreign}) uses another server or API key"
        raise RunAborted(f"{context.folder.uri}: {reason}; give the jobs different outputs")


def _first_foreign(job: Job, records: Sequence[LeaseRecord]) -> LeaseRecord | None:
    own = account_digest(job)
    return next((record for record in records if record.account not in ("", own)), None)
