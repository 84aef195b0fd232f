"""A session: one run's use of an output folder, and its connection to the API."""

from __future__ import annotations

from contextlib import suppress

from labelflow.concurrency.lease import RUNS, Lease
from labelflow.errors import StorageError
from labelflow.jobs.connection import check_connection, open_client
from labelflow.jobs.credentials.keys import read_key
from labelflow.ledger import job_record
from labelflow.ledger.context import ConnectedJob, check_account, usable_output
from labelflow.operations.account import account_digest, check_active_runs, list_unrecorded
from labelflow.planning.plan import Plan
from labelflow.scale.rate_limiter import RateLimiter
from labelflow.submission import reconciliation
from labelflow.submission.chunk_worker import check_distributed_allowed
from labelflow.submission.reconciliation import UnrecordedTasks


class RunSession:
    """Opening it reaches the API, claims the output folder for the job, and acquires the folder's lease.

    Raises InvalidInput if the API cannot be reached or refuses the key; RunAborted if another run holds the lease.
    """

    def __init__(self, plan: Plan) -> None:
        context, job = plan.context, plan.context.job
        key = read_key(job)
        api = check_connection(job, key)
        if job.runner.is_distributed:
            check_distributed_allowed(plan, api.supports_unique_id)
        self._stop = context.stop
        client = open_client(job, key, self.sleep, RateLimiter(job.submit.rate, self.sleep), api.server_time)
        # A server that refuses a second task with the same unique_id lets runs work side by side. What only the
        # ledger knows (the cap, which rows are relabeled, which columns it has) does not.
        self.lease = Lease(
            context.folder,
            RUNS,
            exclusive=(
                not api.supports_unique_id
                or job.submit.cap() is not None
                or plan.relabel is not None
                or plan.adds_columns
            ),
            request_timeout=job.scale.timeout.total_seconds(),
            since=client.earliest_now(),
            account=account_digest(job),
            stop=context.stop if job.runner.is_distributed else None,
        )
        self.context = ConnectedJob(job, context.folder, context.ledger, context.stop, client)
        with usable_output(job):
            if plan.is_new:
                job_record.claim(context.folder, job, plan.builder.source_type)
            check_account(self.context)
            self.lease.acquire(context.stop.sleep)
            try:
                self._verify_folder(plan)
            except BaseException:
                self.lease.release()
                raise
            job_record.save_config(context.folder, job)

    def _verify_folder(self, plan: Plan) -> None:
        """Check again, now that no other run can claim the folder."""
        context = self.context
        context.folder.remove_leftovers()
        if plan.adds_columns:
            job_record.extend(context.folder, context.job, plan.builder.source_type)
        job_record.verify(context.folder, context.job, plan.builder.source_type)
        context.ledger.refresh()
        if plan.is_new:
            check_account(context)
        check_active_runs(context, self.lease.active())

    def find_unrecorded(self) -> UnrecordedTasks:
        """The tasks that runs which died may have created without recording them.

        They are listed even if `unique_id` prevents a second task: this run may not reach their rows.
        Raises InvalidInput if these runs used another account; see `list_unrecorded`.
        """
        self.context.ledger.refresh()
        if self.lease.abandoned:
            self.sleep(reconciliation.LISTING_LAG)
        return list_unrecorded(self.context, self.lease.abandoned, self.check)

    def check(self) -> None:
        """Raises if nothing more may be sent: the run was stopped, or the lease is lost."""
        self._stop.check()
        self.lease.check()

    def sleep(self, seconds: float) -> None:
        """Wait. Raises as `check` does."""
        self._stop.sleep(seconds)
        self.lease.check()

    def finish_submission(self, *, all_recorded: bool) -> None:
        """Release the lease. If tasks may be unrecorded, its record stays, and the next run looks for them."""
        if all_recorded:
            self.lease.clear_abandoned()
        self.lease.release(keep_record=not all_recorded)

    def close(self) -> None:
        """Close the connections, and release the lease if it is still held."""
        self.context.close()
        with suppress(StorageError):  # then the next run waits until the lease expires
            self.lease.release(keep_record=True)
