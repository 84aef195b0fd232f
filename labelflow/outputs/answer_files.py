"""Write the files of labels/ and errors/: one row per finished task, replaced when a later answer arrives.

Readers never see a row twice: a file is rewritten atomically, and a row that moves from one folder to the other is
removed from the first before it is written to the second. Only such a row can be missing for a moment.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from labelflow.ledger.ledger import Ledger
from labelflow.lenient_json import dump_json
from labelflow.outputs.answer import Answer
from labelflow.outputs.answer_tables import AnswerTables
from labelflow.outputs.folders import ERRORS, LABELS
from labelflow.outputs.outcomes import OutcomeIndex, versions_of
from labelflow.storage.folder import Folder
from labelflow.tables.carried_columns import SOURCE, with_carried_columns
from labelflow.tables.part_files import (
    changed_part,
    count_part_rows,
    digest_of,
    list_parts,
    part_name,
    read_groups,
    read_schema,
    strings,
    to_parquet,
)

PART_ROWS = 5000  # answers that are buffered before they are written
PART_BYTES = 8 << 20  # fewer answers, if they are large: of their responses as JSON


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
        self._buffered_bytes = 0

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
            self._buffered_bytes += len(dump_json(answer.response))
        if len(self._buffer) >= PART_ROWS or self._buffered_bytes >= PART_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the buffered answers. Raises StorageError, and what `check` raises."""
        buffered, self._buffer, self._buffered_bytes = self._buffer, {}, 0
        is_new = self._outcomes.pending(list(buffered))
        added = [answer for answer, new in zip(buffered.values(), is_new, strict=True) if new]
        added += self._replace([answer for answer, new in zip(buffered.values(), is_new, strict=True) if not new])
        added.sort(key=lambda answer: answer.ledger_position)
        for prefix in (LABELS, ERRORS):
            self._write_parts(prefix, [answer for answer in added if answer.folder == prefix])

    def remove(self, task_ids: Sequence[str]) -> None:
        """Remove the answers to tasks from the files; tasks without an answer are ignored."""
        is_pending = self._outcomes.pending(task_ids)
        task_ids = [task_id for task_id, pending in zip(task_ids, is_pending, strict=True) if not pending]
        removed = pa.array(task_ids, pa.string())
        for name in dict.fromkeys(self._outcomes.files(task_ids)):
            self._rewrite(name, lambda table: table.filter(pc.invert(pc.is_in(table["task_id"], removed))))
        self._outcomes.remove(task_ids)

    def write_empty_labels(self) -> None:
        """Write an empty file with the columns to labels/ if it has none: readers need a file to know the columns."""
        if list_parts(self._folder, LABELS):
            return
        table = self._tables.empty(LABELS)
        self._check()
        self._folder.write(part_name(LABELS, digest_of(table)), to_parquet(table))

    def add_carried_columns(self) -> None:
        """Give each file the carried columns that were added after it was written; null in all its rows."""
        for prefix in (LABELS, ERRORS):
            schema = self._tables.empty(prefix).schema
            for name in list_parts(self._folder, prefix):
                if read_schema(self._folder, name).field(SOURCE).type != schema.field(SOURCE).type:
                    self._rewrite(name, partial(with_carried_columns, schema=schema))

    def count_rows(self) -> dict[str, int]:
        """Return the numbers of rows in labels/ and errors/, from the footers of their files."""
        return {
            prefix: sum(count_part_rows(self._folder, name) for name in list_parts(self._folder, prefix))
            for prefix in (LABELS, ERRORS)
        }

    def _write_parts(self, prefix: str, answers: list[Answer]) -> None:
        """Write answers, in the order of the ledger: one part, or several if the rows in the ledger are large."""
        remaining = iter(answers)
        positions = np.array([answer.ledger_position for answer in answers], np.int64)
        for submissions in self._ledger.submission_batches(positions):
            self._write_part(prefix, list(islice(remaining, len(submissions))), submissions)

    def _write_part(self, prefix: str, answers: list[Answer], submissions: pa.Table) -> None:
        order = np.argsort(submissions["row"].to_numpy(), kind="stable")
        table = self._tables.table(prefix, answers, submissions).take(order)
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
        prefix = LABELS if name.startswith(LABELS) else ERRORS
        changed: dict[str, Answer] = {}
        for table in read_groups(self._folder, name):
            changed |= _changed(_filter(table, answers), answers)
        if changed:
            self._rewrite(name, lambda table: self._with_replacements(prefix, table, changed))
        moved = [answer for answer in changed.values() if answer.folder != prefix]
        self._outcomes.remove([answer.task_id for answer in moved])
        self._record(name, [answer for answer in answers.values() if answer.folder == prefix])
        return moved

    def _with_replacements(self, prefix: str, table: pa.Table, changed: dict[str, Answer]) -> pa.Table:
        """Return a table in which the changed answers are replaced, or missing if they belong to the other folder."""
        replaced = [changed[task_id] for task_id in strings(table, "task_id") if task_id in changed]
        if not replaced:
            return table
        kept = _filter(table, changed, invert=True)
        staying = [answer for answer in replaced if answer.folder == prefix]
        positions = np.array([answer.ledger_position for answer in staying], np.int64)
        new = self._tables.table(prefix, staying, self._ledger.submissions(positions))
        return pa.concat_tables([kept, new.cast(table.schema)])

    def _rewrite(self, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
        """Apply a change to the row groups of a file, whose rows stay in the order of the manifest."""
        with changed_part(self._folder, name, lambda table: self._sort(change(table))) as path:
            self._check()
            if path:
                self._folder.write_file(name, path)
            else:
                self._folder.delete(name)
        self._outcomes.mark_dirty(name)

    def _sort(self, table: pa.Table) -> pa.Table:
        return table.take(np.argsort(self._ledger.row_numbers(strings(table, "task_id")), kind="stable"))

    def _record(self, name: str, answers: list[Answer]) -> None:
        self._outcomes.record(
            name,
            [answer.task_id for answer in answers],
            [answer.outcome for answer in answers],
            [answer.version for answer in answers],
        )


def _filter(table: pa.Table, answers: Collection[str], *, invert: bool = False) -> pa.Table:
    """The rows of a table whose task is in a collection, or with `invert` the others."""
    return table.filter(pa.array([(task_id in answers) is not invert for task_id in strings(table, "task_id")]))


def _changed(old: pa.Table, answers: dict[str, Answer]) -> dict[str, Answer]:
    """The answers that are later than the written rows, and differ from them in a visible column."""
    columns = [name for name in ("completed_at", "response_json", "status") if name in old.schema.names]
    rows = {row["task_id"]: row for row in old.select(["task_id", *columns]).to_pylist()}
    versions = dict(zip(rows, versions_of(old), strict=True))
    later = {task_id: answers[task_id] for task_id in rows if answers[task_id].version > versions[task_id]}
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
