"""Stalled jobs: tasks are pending, and no answer has arrived for `collect.stalled_after`.

`_ledger/last_answer.json` has the number of finished tasks. It is written when that number changes, so that its age, by
the store's clock, is the time since the last answer.
"""

from __future__ import annotations

from datetime import timedelta

import orjson

from labelflow.ledger.context import JobContext

FILE = "_ledger/last_answer.json"


def check_stalled(context: JobContext, pending: int, finished: int) -> timedelta | None:
    """Return the time since the last answer if the job is stalled, else None. Call it in each pass.

    pending, finished: numbers of tasks. The time of a job without an answer starts with its first pass.
    """
    state = orjson.dumps({"finished": finished, "tasks": context.ledger.tasks})
    if context.folder.read(FILE) != state:
        context.folder.write(FILE, state)
        return None
    since = timedelta(seconds=context.folder.age(FILE) or 0.0)
    return since if pending and since > context.job.collect.stalled_after else None
