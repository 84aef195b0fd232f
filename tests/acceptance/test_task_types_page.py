"""docs/task-types.md: the job of each type runs, in both modes, on disk and in S3; its tables and queries are true."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from labelflow.jobs.config import load_job
from labelflow.scale.task_types import TaskParams, known_types
from labelflow.storage import s3_client
from labelflow.storage.opening import open_folder
from tests.media.files import mp4
from tests.support.commands import ROOT
from tests.support.media_server import picture, wav
from tests.support.run_job import label
from tests.support.s3_servers import use_s3
from tests.support.sandbox import running_in_process

PAGE = (ROOT / "docs" / "task-types.md").read_text()
SECTIONS: dict[str, str] = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
S3_FILES = re.compile(r"s3://my-bucket/([\w/.-]+)")
ROWS = 3
CONTENTS = {  # by suffix: content and declared type
    "jpg": (picture(64, 48, "JPEG"), "image/jpeg"),
    "png": (picture(64, 48), "image/png"),
    "wav": (wav(2.5), "audio/wav"),
    "mp4": (mp4(2, b"vide"), "video/mp4"),
    "pdf": (b"%PDF-1.4 an invoice", "application/pdf"),
    "html": (b"<!doctype html><title>A company</title>", "text/html"),
    "json": (b'{"points": []}', "application/json"),
}


def block(name: str, language: str) -> str:
    """The only block of a language in the section of a type."""
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", SECTIONS[name], re.MULTILINE | re.DOTALL)
    return str(found)


def table(name: str, first: str) -> list[list[str]]:
    """The cells of the table whose first column has this title."""
    lines = SECTIONS[name].partition(f"| {first} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names(cell: str) -> list[str]:
    """The names in a cell."""
    return re.findall(r"`([^`]+)`", cell)


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    with running_in_process(turnaround=0.01) as url:
        yield url


@pytest.fixture(scope="module")
def my_bucket(moto_url: str) -> str:
    """The objects that the page names, in a bucket of the same name."""
    with pytest.MonkeyPatch.context() as environment:
        use_s3(environment, moto_url)
        client = s3_client.client()
        client.create_bucket(Bucket="my-bucket")
        for key in set(S3_FILES.findall(PAGE)):
            content, content_type = CONTENTS[key.rpartition(".")[2]]
            client.put_object(Bucket="my-bucket", Key=key, Body=content, ContentType=content_type)
    return "my-bucket"


def write_job(folder: Path, name: str, mode: str) -> Path:
    """Write the manifest and the config of a section."""
    row = json.loads(block(name, "json"))
    [row_id, *_] = row
    rows = [{**row, row_id: f"{row[row_id]}-{number}"} for number in range(ROWS)]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = yaml.safe_load(block(name, "yaml"))
    config |= {"scale": {"mode": mode}, "collect": {"poll_interval": "0.1s", "timeout": "20s"}}
    (folder / "job.yaml").write_text(yaml.safe_dump(config))
    return folder / "job.yaml"


RUNS = [(name, *run) for name in SECTIONS for run in (("test", "disk"), ("live", "s3"))]
RUNS += [("imageannotation", "live", "disk"), ("imageannotation", "test", "s3")]


@pytest.mark.parametrize(("name", "mode", "where"), RUNS)
def test_job_of_each_type_goes_from_its_manifest_to_its_columns(
    name: str, mode: str, where: str, api: str, my_bucket: str, moto_url: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    use_s3(monkeypatch, moto_url)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCALE_API_URL", api)
    monkeypatch.setenv("SCALE_API_KEY", f"{mode}_{where}-{name}")
    output = None if where == "disk" else f"s3://{my_bucket}/{mode}/{name}"
    job = load_job(str(write_job(tmp_path, name, mode)), output=output)
    assert "no known parameter" not in caplog.text
    summary = label(job)
    assert (summary.rows, summary.labeled, summary.unparsed) == (ROWS, ROWS, 0)
    folder = open_folder(job.output)
    [part] = folder.list("labels/")
    labels = pq.read_table(pa.BufferReader(folder.read(part.name) or b""))
    own = known_types[name].columns(job.task)
    assert all(labels.schema.field(column.name).type == column.type for column in own)
    assert all(labels[column.name].null_count < ROWS for column in own if column.name not in ("category_id",))
    if where == "disk":
        assert duckdb.execute(block(name, "sql")).fetchall()


def columns_of(name: str, arrow_type: pa.DataType) -> Iterator[tuple[str, str]]:
    """A column and its fields, with their types, as the page writes them."""
    is_list = pa.types.is_list(arrow_type) and pa.types.is_struct(arrow_type.value_type)
    struct: Any = cast("Any", arrow_type).value_type if is_list else arrow_type
    if not pa.types.is_struct(struct):
        yield name, type_name(arrow_type)
        return
    yield name, "list of structs" if is_list else "struct"
    for index in range(struct.num_fields):
        yield from columns_of(f"{name}{'[]' if is_list else ''}.{struct.field(index).name}", struct.field(index).type)


def type_name(arrow_type: pa.DataType) -> str:
    if pa.types.is_list(arrow_type):
        return f"list<{type_name(arrow_type.value_type)}>"
    if pa.types.is_map(arrow_type):
        return f"map<{type_name(arrow_type.key_type)}, {type_name(arrow_type.item_type)}>"
    return {"bool": "boolean"}.get(str(arrow_type), str(arrow_type))


def test_page_has_every_type() -> None:
    assert sorted(SECTIONS) == sorted(known_types)


@pytest.mark.parametrize("name", SECTIONS)
def test_columns_of_the_page_are_those_of_the_type(name: str) -> None:
    task = yaml.safe_load(block(name, "yaml"))["task"]
    expected = [item for column in known_types[name].columns(task) for item in columns_of(column.name, column.type)]
    assert [(cells[0].strip("`"), cells[1].strip("`")) for cells in table(name, "column")] == expected


@pytest.mark.parametrize("name", SECTIONS)
def test_parameters_of_the_page_are_those_of_the_type(name: str) -> None:
    rows = [(parameter, cells[1]) for cells in table(name, "parameter") for parameter in names(cells[0])]
    documented = {parameter: required for parameter, required in rows if "." not in parameter}
    params = known_types[name].params
    assert set(documented) == set(params.model_fields) - set(TaskParams.model_fields)
    required = {names[0] for names in params.required if len(names) == 1}
    assert {parameter for parameter, required in documented.items() if required == "yes"} == required
    alternatives = {names for names in params.required if len(names) > 1}
    either = {parameter: text for parameter, text in documented.items() if text.startswith("this, or")}
    listed = {(parameter, other) for parameter, text in either.items() for other in re.findall(r"`(\w+)`", text)}
    assert listed == {pair for first, second in alternatives for pair in ((first, second), (second, first))}


@pytest.mark.parametrize("name", SECTIONS)
def test_nested_parameters_of_the_page_are_known(name: str) -> None:
    nested = [p for cells in table(name, "parameter") for p in names(cells[0]) if "." in p]
    for path in nested:
        assert field_at(known_types[name].params, re.split(r"\[\]\.|\.", path)), path


def field_at(model: Any, path: list[str]) -> bool:
    """Whether a model has a field at a path; `*` is any field."""
    fields = model.model_fields
    for field in fields if path[0] == "*" else [path[0]]:
        annotation = str(fields[field].annotation) if field in fields else ""
        models = [m for m in models_in(fields[field].annotation) if m] if annotation else []
        if not annotation or (len(path) > 1 and not any(field_at(inner, path[1:]) for inner in models)):
            return False
    return True


def models_in(annotation: Any) -> list[Any]:
    """The models in the annotation of a field."""
    if hasattr(annotation, "model_fields"):
        return [annotation]
    return [model for argument in getattr(annotation, "__args__", ()) for model in models_in(argument)]
