"""The files of labels/ and errors/: one row for each task that has come back, replaced where another answer comes.

A reader sees no row twice and, but for a row that goes from one folder to the other, none missing: a file is rewritten
in place, with one write; a row that changes sides leaves the one folder before it gets to the other.
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
from labelflow.outputs.outcomes import ERRORS, LABELS, OutcomeIndex, versions_of
from labelflow.storage.folder import Folder
from labelflow.tables.parts import digest_of, part_name, read_part, strings, to_parquet

PART_ROWS = 5000  # answers held before they are written


class AnswerFiles:
    """Writes answers, and takes note of them in `outcomes`. For one process at a time.

    ledger: of the submissions that they are to. check: raises where nothing may be written any more.
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
        """The versions of the answers that are there, UNKNOWN where there is none yet."""
        written = self._outcomes.versions(task_ids).tolist()
        held = [self._buffer.get(task_id) for task_id in task_ids]
        return [mine.version if mine else version for mine, version in zip(held, written, strict=True)]

    def add(self, answer: Answer) -> None:
        """Take an answer, unless a later one is there: they come twice, late, and out of order.

        It is written with others, at the latest by `flush`.
        """
        held = self._buffer.get(answer.task_id)
        if held is None or answer.version > held.version:
            self._buffer[answer.task_id] = answer
        if len(self._buffer) >= PART_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        held, self._buffer = self._buffer, {}
        is_new = self._outcomes.pending(list(held))
        fresh = [answer for answer, new in zip(held.values(), is_new, strict=True) if new]
        fresh += self._replace([answer for answer, new in zip(held.values(), is_new, strict=True) if not new])
        rows = self._ledger.rows_at(np.array([answer.ledger_position for answer in fresh], np.int64))
        fresh = [fresh[place] for place in np.argsort(rows, kind="stable")]
        for prefix in (LABELS, ERRORS):
            self._write_part(prefix, [answer for answer in fresh if answer.folder == prefix])

    def remove(self, task_ids: Sequence[str]) -> None:
        """Take the answers to tasks out, where they are in."""
        is_out = self._outcomes.pending(task_ids)
        task_ids = [task_id for task_id, out in zip(task_ids, is_out, strict=True) if not out]
        dropped = pa.array(task_ids, pa.string())
        for name in dict.fromkeys(self._outcomes.files(task_ids)):
            table = read_part(self._folder, name)
            self._rewrite(name, table.filter(pc.invert(pc.is_in(table["task_id"], dropped))))
        self._outcomes.remove(task_ids)

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
        """Replace answers where they stand; gives those that left their folder for the other one."""
        by_file: dict[str, dict[str, Answer]] = {}
        for answer, name in zip(answers, self._outcomes.files([one.task_id for one in answers]), strict=True):
            by_file.setdefault(name, {})[answer.task_id] = answer
        return [moved for name, replacing in by_file.items() for moved in self._replace_in(name, replacing)]

    def _replace_in(self, name: str, answers: dict[str, Answer]) -> list[Answer]:
        table = read_part(self._folder, name)
        task_ids = strings(table, "task_id")
        old = table.filter(pa.array([task_id in answers for task_id in task_ids]))
        changed = _changed(old, answers)
        prefix = LABELS if name.startswith(LABELS) else ERRORS
        stay = [answer for answer in changed.values() if answer.folder == prefix]
        if changed:
            kept = table.filter(pa.array([task_id not in changed for task_id in task_ids]))
            self._rewrite(name, pa.concat_tables([kept, self._table(prefix, stay).cast(table.schema)]))
        moved = [answer for answer in changed.values() if answer.folder != prefix]
        self._outcomes.remove([answer.task_id for answer in moved])
        self._record(name, [answer for answer in answers.values() if answer.folder == prefix])
        return moved

    def _rewrite(self, name: str, table: pa.Table) -> None:
        self._check()
        if len(table):
            places = np.argsort(self._ledger.row_numbers(strings(table, "task_id")), kind="stable")
            self._folder.write(name, to_parquet(table.take(places)))
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
    """The answers that are later than the rows that are there, and say something else."""
    columns = [name for name in ("completed_at", "response_json", "status") if name in old.schema.names]
    rows = {row["task_id"]: row for row in old.select(["task_id", *columns]).to_pylist()}
    versions = dict(zip(rows, versions_of(old), strict=True))
    later = {task_id: answer for task_id, answer in answers.items() if answer.version > versions[task_id]}
    return {
        task_id: answer
        for task_id, answer in later.items()
        if any(rows[task_id][name] != told for name, told in _visible_columns(answer).items() if name in columns)
    }


def _visible_columns(answer: Answer) -> dict[str, Any]:
    """What a reader would see changed, by its column."""
    return {
        "completed_at": answer.completed_at,
        "response_json": answer.response_json,
        "status": answer.outcome.value,
    }
