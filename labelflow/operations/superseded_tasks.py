"""Cancel the tasks that a relabeling has replaced: their answers would not be used."""

from __future__ import annotations

from contextlib import suppress

import orjson

from labelflow.ledger.context import ConnectedJob
from labelflow.operations.cancel import cancel_tasks
from labelflow.scale.errors import ScaleError

FILE = "_ledger/superseded.json"


def cancel_superseded(context: ConnectedJob) -> None:
    """Cancel each superseded task once, after its successor was recorded. After an API error the next run does it."""
    superseded = context.ledger.superseded()
    if not superseded:
        return
    content = context.folder.read(FILE)
    done = set(orjson.loads(content)) if content else set()
    remaining = [task_id for task_id in superseded if task_id not in done]
    if not remaining:
        return
    with suppress(ScaleError):
        cancel_tasks(context, remaining)
        context.folder.write(FILE, orjson.dumps(sorted(done | set(superseded))))
