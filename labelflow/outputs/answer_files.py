"""Write the files of labels/ and errors/: one row per finished task, replaced when a later answer arrives.

Readers never see a row twice: a file is rewritten atomically, and a row that moves from one folder to the other is
removed from the first before it is written to the second. Only such a row can be missing for a moment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from labelflow.ledger.ledger import Ledger
from labelflow.outputs.answer import Answer
from labelflow.outputs.answer_tables import AnswerTables
from labelflow.outputs.folders import ERRORS, LABELS
from labelflow.outputs.outcomes import OutcomeIndex, versions_of
from labelflow.storage.folder import Folder
from labelflow.tables.parts import count_part_rows, digest_of, list_parts, part_name, read_part, strings, to_parquet

PART_ROWS = 5000  # answers that are buffered before they are written


class AnswerFiles:
    """Writes answers to labels/ and errors/, and records them in the outcome index. For one process at a time.

    ledger: has the submissions that the answers belong to.
    check: called before each write; raises if this process may not write any more, see `Lease.check`.

    Example:
        files = AnswerFiles(folder, tables, outcomes, ledger, lease.check)
        files.add(answer)
        files.flush()
    """

    def __init__(
        self, folder: Folder, tables: AnswerTables, outcomes: OutcomeIndex, ledger: Ledger, check: Callable[[], None]
    ) -> None:
        self._folder = folder
        self._tables = tables
        self._outcomes = outcomes
        self._ledger = ledger
        self._check = check
        self._buffer: dict[str, Answer] = {}

    def versions(self, task_ids: Sequence[str]) -> list[int]:
        """Return the version of the buffered or written answer to each task, MISSING (-1) if there is none."""
        written = self._outcomes.versions(task_ids).tolist()
        buffered = [self._buffer.get(task_id) for task_id in task_ids]
        return [answer.version if answer else version for answer, version in zip(buffered, written, strict=True)]

    def add(self, answer: Answer) -> None:
        """Add an answer, unless a later one is known: answers may arrive repeatedly, late and out of order.

        It is buffered, and written with others, at the latest by `flush`.
        """
        buffered = self._buffer.get(answer.task_id)
        if buffered is None or answer.version > buffered.version:
            self._buffer[answer.task_id] = answer
        if len(self._buffer) >= PART_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the buffered answers. Raises StorageError, and what `check` raises."""
        buffered, self._buffer = self._buffer, {}
        is_new = self._outcomes.pending(list(buffered))
        added = [answer for answer, new in zip(buffered.values(), is_new, strict=True) if new]
        added += self._replace([answer for answer, new in zip(buffered.values(), is_new, strict=True) if not new])
        row_numbers = self._ledger.rows_at(np.array([answer.ledger_position for answer in added], np.int64))
        added = [added[index] for index in np.argsort(row_numbers, kind="stable")]
        for prefix in (LABELS, ERRORS):
            self._write_part(prefix, [answer for answer in added if answer.folder == prefix])

    def remove(self, task_ids: Sequence[str]) -> None:
        """Remove the answers to tasks from the files; tasks without an answer are ignored."""
        is_pending = self._outcomes.pending(task_ids)
        task_ids = [task_id for task_id, pending in zip(task_ids, is_pending, strict=True) if not pending]
        removed = pa.array(task_ids, pa.string())
        for name in dict.fromkeys(self._outcomes.files(task_ids)):
            table = read_part(self._folder, name)
            self._rewrite(name, table.filter(pc.invert(pc.is_in(table["task_id"], removed))))
        self._outcomes.remove(task_ids)

    def count_rows(self) -> dict[str, int]:
        """Return the numbers of rows in labels/ and errors/, from the footers of their files."""
        return {
            prefix: sum(count_part_rows(self._folder, name) for name in list_parts(self._folder, prefix))
            for prefix in (LABELS, ERRORS)
        }

    def _write_part(self, prefix: str, answers: list[Answer]) -> None:
        if not answers:
            return
        table = self._table(prefix, answers)
        name = part_name(prefix, digest_of(table))
        self._check()
        self._folder.write(name, to_parquet(table))
        self._outcomes.mark_dirty(name)
        self._record(name, answers)

    def _replace(self, answers: list[Answer]) -> list[Answer]:
        """Replace answers in their files; returns those that now belong to the other folder, without writing them."""
        by_file: dict[str, dict[str, Answer]] = {}
        for answer, name in zip(answers, self._outcomes.files([each.task_id for each in answers]), strict=True):
            by_file.setdefault(name, {})[answer.task_id] = answer
        return [moved for name, replacements in by_file.items() for moved in self._replace_in(name, replacements)]

    def _replace_in(self, name: str, answers: dict[str, Answer]) -> list[Answer]:
        table = read_part(self._folder, name)
        task_ids = strings(table, "task_id")
        old = table.filter(pa.array([task_id in answers for task_id in task_ids]))
        changed = _changed(old, answers)
        prefix = LABELS if name.startswith(LABELS) else ERRORS
        staying = [answer for answer in changed.values() if answer.folder == prefix]
        if changed:
            kept = table.filter(pa.array([task_id not in changed for task_id in task_ids]))
            self._rewrite(name, pa.concat_tables([kept, self._table(prefix, staying).cast(table.schema)]))
        moved = [answer for answer in changed.values() if answer.folder != prefix]
        self._outcomes.remove([answer.task_id for answer in moved])
        self._record(name, [answer for answer in answers.values() if answer.folder == prefix])
        return moved

    def _rewrite(self, name: str, table: pa.Table) -> None:
        self._check()
        if len(table):
            order = np.argsort(self._ledger.row_numbers(strings(table, "task_id")), kind="stable")
            self._folder.write(name, to_parquet(table.take(order)))
        else:
            self._folder.delete(name)
        self._outcomes.mark_dirty(name)

    def _table(self, prefix: str, answers: list[Answer]) -> pa.Table:
        submissions = self._ledger.submissions(np.array([answer.ledger_position for answer in answers], np.int64))
        return self._tables.table(prefix, answers, submissions)

    def _record(self, name: str, answers: list[Answer]) -> None:
        self._outcomes.record(
            name,
            [answer.task_id for answer in answers],
            [answer.outcome for answer in answers],
            [answer.version for answer in answers],
        )


def _changed(old: pa.Table, answers: dict[str, Answer]) -> dict[str, Answer]:
    """The answers that are later than the written rows, and differ from them in a visible column."""
    columns = [name for name in ("completed_at", "response_json", "status") if name in old.schema.names]
    rows = {row["task_id"]: row for row in old.select(["task_id", *columns]).to_pylist()}
    versions = dict(zip(rows, versions_of(old), strict=True))
    later = {task_id: answer for task_id, answer in answers.items() if answer.version > versions[task_id]}
    return {
        task_id: answer
        for task_id, answer in later.items()
        if any(rows[task_id][name] != value for name, value in _visible_columns(answer).items() if name in columns)
    }


def _visible_columns(answer: Answer) -> dict[str, Any]:
    """The columns in which a reader would see a change."""
    return {
        "completed_at": answer.completed_at,
        "response_json": answer.response_json,
        "status": answer.outcome.value,
    }
