"""The files of labels/ and errors/: one row for each task that has come back, replaced where another answer comes.

A reader sees no row twice and, but for a row that goes from one folder to the other, none missing: a file is rewritten
in place, with one write; a row that changes sides leaves the one folder before it gets to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import pyarrow as pa

from labeling.answers import Answer, Answering
from labeling.outcomes import ERRORS, LABELS, Outcomes, versions_of
from labeling.storage import Folder
from labeling.tables import part_name, read_part, texts, to_parquet

PART_ROWS = 5000  # answers held before they are written


class AnswerFiles:
    """Writes answers, and takes note of them in `outcomes`. For one process at a time.

    order: a task's place in the manifest. check: raises where nothing may be written any more.
    """

    def __init__(
        self,
        folder: Folder,
        answering: Answering,
        outcomes: Outcomes,
        order: Callable[[str], int],
        check: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._answering = answering
        self._outcomes = outcomes
        self._order = order
        self._check = check
        self._held: dict[str, Answer] = {}

    def is_news(self, task_id: str, version: int) -> bool:
        """Whether an answer is later than the one that is there: answers come twice, late, and out of order."""
        if task_id in self._held:
            return version > self._held[task_id].version
        return task_id not in self._outcomes or version > self._outcomes.version_of(task_id)

    def add(self, answer: Answer) -> None:
        """Take an answer; it is written with others, at the latest by `flush`."""
        self._held[answer.task_id] = answer
        if len(self._held) >= PART_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        held, self._held = self._held, {}
        fresh = [answer for answer in held.values() if answer.task_id not in self._outcomes]
        fresh += self._replace([answer for answer in held.values() if answer.task_id in self._outcomes])
        fresh.sort(key=lambda answer: self._order(answer.task_id))
        for prefix in (LABELS, ERRORS):
            self._write_part(prefix, [answer for answer in fresh if answer.prefix == prefix])

    def drop(self, task_ids: Collection[str]) -> None:
        """Take the answers to tasks out."""
        for name in {self._outcomes.file_of(task_id) for task_id in task_ids}:
            table = read_part(self._folder, name)
            self._rewrite(
                name, table.filter(pa.array([task_id not in task_ids for task_id in texts(table, "task_id")]))
            )
        for task_id in task_ids:
            self._outcomes.forget(task_id)

    def _write_part(self, prefix: str, answers: list[Answer]) -> None:
        if not answers:
            return
        table = self._answering.table(prefix, answers)
        name = part_name(prefix, table)
        self._check()
        self._folder.write(name, to_parquet(table))
        self._outcomes.wrote(name)
        self._note(name, answers)

    def _replace(self, answers: list[Answer]) -> list[Answer]:
        """Replace answers where they stand; gives those that left their folder for the other one."""
        by_file: dict[str, dict[str, Answer]] = {}
        for answer in answers:
            by_file.setdefault(self._outcomes.file_of(answer.task_id), {})[answer.task_id] = answer
        return [moved for name, replacing in by_file.items() for moved in self._replace_in(name, replacing)]

    def _replace_in(self, name: str, answers: dict[str, Answer]) -> list[Answer]:
        table = read_part(self._folder, name)
        task_ids = texts(table, "task_id")
        old = table.filter(pa.array([task_id in answers for task_id in task_ids]))
        changed = _changed(old, answers)
        prefix = LABELS if name.startswith(LABELS) else ERRORS
        stay = [answer for answer in changed.values() if answer.prefix == prefix]
        if changed:
            kept = table.filter(pa.array([task_id not in changed for task_id in task_ids]))
            self._rewrite(name, pa.concat_tables([kept, self._answering.table(prefix, stay).cast(table.schema)]))
        moved = [answer for answer in changed.values() if answer.prefix != prefix]
        for answer in moved:
            self._outcomes.forget(answer.task_id)
        self._note(name, [answer for answer in answers.values() if answer.prefix == prefix])
        return moved

    def _rewrite(self, name: str, table: pa.Table) -> None:
        self._check()
        if len(table):
            places = sorted(range(len(table)), key=[self._order(one) for one in texts(table, "task_id")].__getitem__)
            self._folder.write(name, to_parquet(table.take(pa.array(places, pa.int64()))))
        else:
            self._folder.delete(name)
        self._outcomes.wrote(name)

    def _note(self, name: str, answers: list[Answer]) -> None:
        for answer in answers:
            self._outcomes.note(answer.task_id, answer.outcome, name, answer.version)


def _changed(old: pa.Table, answers: dict[str, Answer]) -> dict[str, Answer]:
    """The answers that are later than the rows that are there, and say something else."""
    columns = [name for name in ("completed_at", "response_json", "status") if name in old.schema.names]
    rows = {row["task_id"]: row for row in old.select(["task_id", *columns]).to_pylist()}
    versions = dict(zip(rows, versions_of(old), strict=True))
    return {
        task_id: answer
        for task_id, answer in answers.items()
        if answer.version > versions[task_id] and any(rows[task_id][name] != answer.row.get(name) for name in columns)
    }
