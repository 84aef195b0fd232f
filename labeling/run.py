"""A run of a job: a plan, carried out. The flow calls these steps in order."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from labeling import compaction, ledger, rejecting
from labeling.collecting import ERRORS, LABELS, Collector
from labeling.config import read_key
from labeling.errors import Interrupted, StoreTrouble, Unusable
from labeling.job import Job
from labeling.plan import Chunk, Plan
from labeling.stages import ChunkReport, Outcome
from labeling.submitting import Allowance, Submitter, unrecorded_tasks
from labeling.summary import Summary
from scale.client import ScaleClient
from scale.errors import NotSent, RateLimited, ScaleError, ServerTrouble, Unauthorized
from scale.pace import Pace
from scale.retry import RetryPolicy

FIRST_LOOK = 0.2  # seconds until the first look at what came back; the pauses then double


class Run:
    """One run. Opening it reaches the API and makes the output folder this job's; no task is created yet.

    Raises Unusable where the API is not there, or does not take the key.
    """

    def __init__(self, plan: Plan) -> None:
        job, stop = plan.job, plan.stop
        key = read_key(job)
        greet(job, key)
        self.plan = plan
        self.counts = plan.counts
        self._ledger = plan.ledger
        self._client = ScaleClient(
            key,
            job.scale.url,
            connections=job.submit.concurrency,
            pace=Pace(job.submit.rate, stop.pause),
            pause=stop.pause,
        )
        try:
            if plan.is_new:
                ledger.begin(plan.folder, job, plan.binder.source_type)
            compaction.finish_compaction(plan.folder)
        except StoreTrouble as error:
            raise Unusable(f"output {job.output}", str(error), "correct the job's output") from None
        self._submitter = Submitter(
            job,
            self._client,
            plan.ledger,
            Allowance(plan.allowance()),
            stop,
            plan.counts,
            unrecorded_tasks(self._client, job, plan.ledger),
        )
        self._collector = Collector(job, self._client, plan.ledger, plan.folder, plan.binder.source_type, stop)
        self._outcomes = self._collector.outcomes
        self.counts.add(labeled=self._outcomes.labeled, answered=len(self._outcomes))

    def chunks(self) -> Iterator[Chunk]:
        """The rows that have no task yet; see `Plan.chunks`."""
        return self.plan.chunks()

    def submit(self, chunk: Chunk) -> ChunkReport:
        """Check the rows of a chunk and create their tasks. Chunks may be submitted at once.

        Raises LimitReached where more rows are rejected than the job allows: then no task is created.
        """
        bound, rejected = self.plan.check(chunk)
        self.plan.refuse_too_many_rejects()
        self._ledger.mark_open()
        report = self._submitter.submit(bound)
        self.plan.reject(report.rejected)
        self.counts.add(held_back=report.held_back, unsettled=report.unsettled)
        return replace(report, rejected=[*rejected, *report.rejected])

    def finish_submission(self) -> None:
        """Publish the rejects of this run. Every task is recorded now, or the next run looks for it."""
        if not (self.counts.not_submitted and rejecting.is_its_file(self.plan.folder, self.plan.job.manifest.uri)):
            rejecting.publish(self.plan.folder, self.plan.rejected, self.plan.manifest.schema)
        if self._submitter.settled and not self.counts.unsettled:
            self._ledger.mark_settled()

    def collect(self) -> int:
        """One look at what has come back. Returns the number of tasks that are new."""
        before = self._outcomes.labeled
        new = self._collector.collect()
        self.counts.add(answered=new, labeled=self._outcomes.labeled - before)
        return new

    @property
    def waiting(self) -> int:
        """Tasks that have not come back yet."""
        return sum(task_id not in self._outcomes for _, task_id in self._ledger.rows())

    def pauses(self) -> Iterator[float]:
        """Pause between looks, longer each time, until the job's patience is over. Yields seconds waited."""
        completion = self.plan.job.completion
        longest = completion.every.total_seconds()
        deadline = time.monotonic() + completion.give_up_after.total_seconds()
        pause = min(FIRST_LOOK, longest)
        while time.monotonic() < deadline:
            self.plan.stop.pause(pause)
            yield pause
            pause = min(longest, pause * 2)

    def finish(self) -> Summary:
        """Write the summary; once nothing is waited for, make the files large. Raises DoesNotAddUp."""
        folder = self.plan.folder
        if not self.waiting:
            compaction.compact(folder, LABELS, self._ledger.row_number)
            compaction.compact(folder, ERRORS, self._ledger.row_number)
        summary = self.summary()
        summary.write(folder)
        summary.check()
        return summary

    def summary(self) -> Summary:
        """How the job stands, counted from what was read, submitted and collected in this run and before."""
        job, counts, tasks = self.plan.job, self.counts, len(self._ledger)
        tally = Counter(self._outcomes.of(task_id) for row_id, task_id in self._ledger.rows() if row_id in self.plan)
        price = job.submit.price_per_task
        return Summary(
            job=job.name,
            rows=counts.read,
            labeled=tally[Outcome.LABELED],
            rejected=len(self.plan.rejected),
            error=tally[Outcome.ERROR],
            canceled=tally[Outcome.CANCELED],
            pending=tally[Outcome.PENDING] + counts.not_submitted,
            not_submitted=counts.not_submitted,
            beyond_limit=counts.beyond_limit,
            unsettled=counts.unsettled,
            gone=tasks - tally.total(),
            unexpected=self._collector.unexpected,
            created=counts.created,
            adopted=counts.adopted,
            cost=None if price is None else round(tasks * price, 2),
            seconds=dict(counts.seconds),
        )

    def stop(self) -> None:
        """Send nothing more; what is under way is waited for and recorded by its own step."""
        self.plan.stop.set()

    def close(self) -> None:
        """End threads and connections."""
        self.plan.close()
        self._submitter.close()
        self._client.close()


def greet(job: Job, key: str) -> None:
    """Ask the API for one task: tells at once whether it is there, and whether it takes the key."""
    patience = RetryPolicy(attempts=3, longest_wait=5.0)
    with ScaleClient(key, job.scale.url, connections=1, retry=patience, timeout=(5.0, 15.0)) as client:
        try:
            next(client.list_pages(limit=1))
        except Unauthorized:
            raise Unusable("scale.key", f"{job.scale.url} does not take the key", "use a valid API key") from None
        except NotSent as error:
            raise Unusable("scale.url", error.message, "check the URL, and that the server is up") from None
        except (RateLimited, ServerTrouble) as error:
            raise Interrupted(f"{job.scale.url}: {error.message}; try again later") from None
        except ScaleError as error:
            reason = f"{job.scale.url} does not answer like the Scale API ({error.message})"
            raise Unusable("scale.url", reason, "check the URL; it ends in /v1") from None
