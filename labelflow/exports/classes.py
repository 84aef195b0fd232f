"""The classes of a job: their names, in the order of their ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from labelflow.errors import InvalidInput
from labelflow.jobs.job import Job


def job_classes(job: Job) -> list[str]:
    """Return the classes that annotators can draw, in the order of the job. A class that nobody uses has its place.

    Of nested labels only the leaves are classes, as in the answers.

    >>> job_classes(load_job("configs/street-boxes.yaml"))
    ['car', 'truck']
    """
    task = job.task
    labels: list[Any] = [task.get("objects_to_annotate")]
    geometries = task.get("geometries")
    labels += [shape.get("objects_to_annotate") for shape in (geometries or {}).values() if isinstance(shape, dict)]
    return list(dict.fromkeys(name for group in labels if isinstance(group, list) for name in _leaves(group)))


def export_classes(job: Job, given: Sequence[str] | None, earlier: Sequence[str]) -> list[str]:
    """Return the classes of an export: those that the user gives, else those of the job.

    earlier: of an export in the same folder; they keep their ids, and new ones follow. Raises InvalidInput if `given`
    leaves one of them out, or names one twice.
    """
    if given is not None and len(set(given)) < len(given):
        raise InvalidInput("--classes", "names a class twice", "name each class once")
    names = list(given) if given is not None else job_classes(job)
    if given is None:
        return list(dict.fromkeys([*earlier, *names]))
    if earlier and names[: len(earlier)] != list(earlier):
        fix = "begin with them, or use another --dest"
        raise InvalidInput("--classes", f"the folder has the classes {', '.join(earlier)}", fix)
    return names


def _leaves(labels: Sequence[Any]) -> Iterator[str]:
    for label in labels:
        if isinstance(label, dict):
            below = label.get("subchoices")
            yield from _leaves(below) if isinstance(below, list) and below else [str(label.get("choice"))]
        else:
            yield str(label)
