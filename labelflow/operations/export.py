"""Export the labels of a job. Reads the output folder only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from labelflow.errors import InvalidInput, StorageError
from labelflow.exports.classes import export_classes
from labelflow.exports.export_format import ExportCounts, ExportFormat, ExportSettings, Writer
from labelflow.exports.formats import formats
from labelflow.exports.splits import ALL, Split
from labelflow.jobs.job import Job
from labelflow.outputs.folders import LABELS
from labelflow.storage.folder import Folder
from labelflow.storage.opening import open_folder, open_output
from labelflow.tables.part_files import list_parts, read_batches, read_schema
from labelflow.tables.temporary import temporary_directory

MANIFEST = "export.json"  # what the folder contains; `complete` is true once all files are there
CLASSES = "classes.txt"  # one name per line, in the order of the ids


@dataclass(frozen=True, slots=True)
class Export:
    """A finished export. files: names in `dest`. counts: by part of the split."""

    format: str
    dest: str
    files: list[str]
    classes: list[str]
    counts: dict[str, ExportCounts]


def export_labels(
    job: Job,
    to: str,
    dest: str,
    *,
    split: str | None = None,
    group_by: str | None = None,
    classes: Sequence[str] | None = None,
) -> Export:
    """Write the labels of a job in another format.

    Args:
        job: A job that has an output folder.
        to: The name of the format, see `labelflow.exports.formats`.
        dest: The folder to write to, a path or s3://bucket/prefix: new, empty, or of an earlier export of this job.
        split: Parts and percentages, like `train=80,val=10,test=10`.
        group_by: A column of `source`: rows with the same value are in the same part.
        classes: The names of the classes in the order of their ids; by default those of the job.

    Each file appears complete or not at all. An export that was interrupted is started again by the same call. Raises
    InvalidInput if the format cannot hold the job's labels, or if `dest` holds something else.
    """
    export_format, parts = check_export(job, to), Split.parse(split)
    labels = open_output(job.output)
    names = list_parts(labels, LABELS)
    if not names:
        raise InvalidInput(f"output {job.output}", "holds no labels", "run label_dataset first")
    schema = read_schema(labels, names[0])
    _check_group(schema, group_by)
    target = _open_dest(dest)
    earlier = _read_manifest(target, job, to)
    settings = ExportSettings(job, export_classes(job, classes, earlier), schema)
    _write_manifest(target, settings, to, complete=False)
    with temporary_directory() as directory:
        counts = {name: ExportCounts() for name in parts.names}
        writers = {name: export_format.open(settings, name, directory) for name in parts.names}
        for table in _read(labels, names, export_format.columns(schema)):
            _write(table, writers, counts, parts, group_by)
        files = _place(target, directory, [path for writer in writers.values() for path in writer.finish()])
    if settings.classes:
        target.write(CLASSES, "".join(f"{name}\n" for name in settings.classes).encode())
    _write_manifest(target, settings, to, complete=True, files=files, counts=counts)
    return Export(to, target.uri, files, settings.classes, counts)


def check_export(job: Job, to: str) -> ExportFormat:
    """Return the format of a name. Raises InvalidInput if there is none, or if it cannot hold the job's labels."""
    if to not in formats:
        raise InvalidInput("--to", f"got {to!r}", f"use one of {', '.join(sorted(formats))}")
    chosen = formats[to]
    if chosen.task_types and job.task_type not in chosen.task_types:
        able = [name for name, each in formats.items() if not each.task_types or job.task_type in each.task_types]
        reason = f"{to} cannot hold the labels of a {job.task_type} job"
        raise InvalidInput("--to", reason, f"use one of {', '.join(sorted(able))}")
    return chosen


def _check_group(schema: pa.Schema, group_by: str | None) -> None:
    carried = [field.name for field in schema.field("source").type]
    if group_by is not None and group_by not in carried:
        fix = f"use one of {', '.join(carried)}, or add the column to `metadata`"
        raise InvalidInput("--group-by", f"labels do not carry the column {group_by!r}", fix)


def _open_dest(dest: str) -> Folder:
    try:
        return open_folder(dest)
    except ValueError as error:
        raise InvalidInput("--dest", str(error), "use a path, or s3://bucket/prefix") from None


def _read_manifest(target: Folder, job: Job, to: str) -> list[str]:
    """Return the classes of an earlier export in a folder. Raises InvalidInput if it holds something else."""
    try:
        content = target.read(MANIFEST)
        others = [file.name for file in target.list("")] if content is None else []
    except StorageError as error:
        raise InvalidInput(f"--dest {target.uri}", str(error), "correct --dest") from None
    if content is None:
        if others:
            raise InvalidInput(f"--dest {target.uri}", "holds other files", "use a new or empty folder")
        return []
    try:
        found: dict[str, Any] = json.loads(content)
        is_same = (found["job"], found["format"]) == (job.name, to)
        classes = [str(name) for name in found["classes"]]
    except (ValueError, LookupError, TypeError):
        raise InvalidInput(f"--dest {target.uri}", f"holds a corrupt {MANIFEST}", "use another folder") from None
    if not is_same:
        reason = f"holds the export of job {found['job']} to {found['format']}"
        raise InvalidInput(f"--dest {target.uri}", reason, "use another folder")
    return classes


def _write_manifest(
    target: Folder,
    settings: ExportSettings,
    to: str,
    *,
    complete: bool,
    files: Sequence[str] = (),
    counts: dict[str, ExportCounts] | None = None,
) -> None:
    document = {
        "complete": complete,
        "job": settings.job.name,
        "format": to,
        "classes": settings.classes,
        "files": list(files),
        "parts": {name: numbers.as_json() for name, numbers in (counts or {}).items()},
    }
    target.write(MANIFEST, json.dumps(document, indent=2, ensure_ascii=False).encode())


def _read(labels: Folder, names: Sequence[str], columns: list[str]) -> Iterator[pa.Table]:
    for name in names:
        yield from read_batches(labels, name, columns)


def _write(
    table: pa.Table,
    writers: dict[str, Writer],
    counts: dict[str, ExportCounts],
    split: Split,
    group_by: str | None,
) -> None:
    """Pass each label to the writer of its part."""
    if split.names == (ALL,):
        writers[ALL].write(table, counts[ALL])
        return
    keys = pc.struct_field(table["source"].combine_chunks(), group_by) if group_by else table["row_id"]
    parts = split.parts_of(map(str, keys.to_pylist()))
    for name, writer in writers.items():
        selected = table.filter(pa.array([part == name for part in parts]))
        if len(selected):
            writer.write(selected, counts[name])


def _place(target: Folder, directory: Path, paths: Sequence[Path]) -> list[str]:
    """Move the finished files to the folder. Returns their names."""
    names = [path.relative_to(directory).as_posix() for path in paths]
    for path, name in zip(paths, names, strict=True):
        target.write_file(name, path)
    return names
