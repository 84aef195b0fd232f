"""Invalid configs: loading gives a job, or one message with the place and the problem."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from labelflow.errors import InvalidInput, LabelflowError
from labelflow.jobs.config import load_job
from labelflow.jobs.job import Job
from labelflow.planning.plan import Plan
from tests.properties.conftest import case_folder, cases, check_readable, time_limit
from tests.properties.strategies import anything, scalars, strings, timestamps
from tests.support.examples import examples, own_params
from tests.support.jobs import job_document

SECONDS = 10.0  # for one config
ROWS = [{"id": "1", "text": "one", "n": 1, "tags": ["a"]}, {"id": "2", "text": "two", "n": 2, "tags": []}]
TASKS = [{"type": name, **own_params(example["request"])} for name, example in examples().items()]
SECTIONS: dict[str, dict[str, Any]] = {
    "attachments": {"check": "off", "presign": "7d"},
    "submit": {"concurrency": 4, "rate": "50/s", "max_tasks": 5, "price_per_task": 0.08, "max_cost": 4},
    "collect": {"wait": "poll", "poll_interval": "30s", "timeout": "8d"},
    "scale": {"url": "http://127.0.0.1:9/v1", "key": "env:SCALE_API_KEY", "mode": "test"},
}
KEYS = st.sampled_from(
    ["name", "uri", "row_id", "type", "check", "concurrency", "url", "metadata", "unique_id", "fields"]
)

INVALID_YAML = [
    b"",
    b"\x00",
    b"\xff\xfe\x00",
    b"- a\n",
    b"a: b: c",
    b"a: {",
    b"a: *nowhere",
    b"&a [*a]",
    b"name: &a [*a]",
    b"name: &a {b: *a}",
    b"? [a, b]\n: c\n",
    b"? {a: b}\n: c\n",
    b"<<: 3\n",
    b"<<: [1]\n",
    b"!!timestamp x",
    b"name: !!timestamp x",
    b"name: 2026-99-99",
    b"name: 2026-01-01 99:99:99",
    b"name: 0001-01-01 00:00:00 +23:59",
    b'name: !!int ""',
    b"name: !!int x",
    b'name: !!float ""',
    b"name: !!float .",
    b"name: !!bool maybe",
    b"name: !!binary x",
    b"name: !!set {a, b}",
    b"name: !!omap [a]",
    b"name: !!pairs {a: b}",
    b"name: !!python/object:os.system x",
    b"name: !nothing x",
    b"name: !!map [1]",
    b"name: !!seq {a: 1}",
    b"name: =",
    b"name: 1:99:99",
    b"name: 0x",
    b"name: 0b_",
    b"name: ._",
    b"name: !!str {a: b}",
    b"%YAML 9.9\n---\na: b",
    b"%TAG ! x\n---\na: !b c",
    b"a: b\n---\na: b",
    b"1: 2\nnull: 3\ntrue: 4\n",
    b'"\\ud800": "\\udfff"',
    b'name: "\\x00\\x1b"',
    b"name: " + b"[" * 2000,
    b"name: " + b"{a: " * 900 + b"1" + b"}" * 900,
    b"name: " + b"9" * 5000,
    b"name: 0x" + b"9" * 20000,
    b"a" * 5000 + b": 1",
    b"a: &a [x, x, x, x, x, x, x, x, x]\n"
    + b"".join(
        b"%c: &%c [%s]\n" % (letter, letter, b", ".join([b"*%c" % (letter - 1)] * 9)) for letter in b"bcdefghijk"
    ),
    b"a: &a {x: 1, y: 2}\n"
    + b"".join(
        b"%c: &%c {<<: [%s]}\n" % (letter, letter, b", ".join([b"*%c" % (letter - 1)] * 9)) for letter in b"bcdefghijk"
    ),
]


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values of a document, the document first."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*path, key))


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """The document of a valid job with one to four mutations."""
    metadata = draw(st.sampled_from([[], ["n"], ["n", "tags"]]))
    document: dict[str, Any] = copy.deepcopy(job_document(Path("FOLDER"), metadata=metadata))
    if draw(st.booleans()):
        document["task"] = copy.deepcopy(draw(st.sampled_from(TASKS)))
    for name in draw(st.lists(st.sampled_from(sorted(SECTIONS)), unique=True)):
        document[name] = dict(SECTIONS[name])
    for _ in range(draw(st.integers(1, 4))):
        mutate_document(draw, document)
    return document


def mutate_document(draw: st.DrawFn, document: dict[str, Any]) -> None:
    """Change, remove, retype, move or add one value."""
    *parents, last = draw(st.sampled_from([path for path in paths(document) if path] or [("name",)]))
    target: Any = document
    for key in parents:
        target = target[key]
    mutation = draw(st.sampled_from(["change", "remove", "text", "list", "mapping", "move", "add"]))
    if mutation == "remove":
        del target[last]
    elif mutation == "add" and isinstance(target, dict):
        target[draw(KEYS | strings | scalars)] = draw(anything | timestamps)
    elif mutation == "move":
        target[last] = copy.deepcopy(
            draw(st.sampled_from([document.get("task"), document.get("submit"), "{text}", "{id}"]))
        )
    elif last in target if isinstance(target, dict) else True:
        value = target[last]
        retyped = {"text": str(value), "list": [value], "mapping": {"x": value}}
        target[last] = retyped[mutation] if mutation in retyped else draw(anything | timestamps)


def load(folder: Path, content: bytes) -> Job | None:
    """Load a job from a config file; None if there was an error message."""
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    path = folder / "job.yaml"
    path.write_bytes(content.replace(b"FOLDER", str(folder).encode()))
    try:
        with time_limit(SECONDS):
            return load_job(str(path))
    except InvalidInput as error:
        check_readable(str(error))
        lines = str(error).split("\n")
    assert all(line.startswith(str(path)) for line in lines)
    assert all("; " in line for line in lines), "the message has no fix"
    return None


def preview(job: Job) -> None:
    """Check that the counts of a dry run match, unless there is an error message."""
    try:
        with time_limit(SECONDS), closing(Plan(job)) as plan:
            result = plan.preview()
    except LabelflowError as error:
        check_readable(str(error))
        return
    assert result.rows == result.create + result.reject + result.unchanged + result.over_cap
    for reject in plan.unsubmitted.rejected:
        check_readable(str(reject.problem))


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCALE_API_URL", raising=False)


@cases(default=70, share=0.6)
@given(document=documents(), escaped=st.booleans())
def test_mutated_document_gives_a_job_or_one_message(document: dict[str, Any], escaped: bool) -> None:
    with case_folder() as folder:
        try:
            content = yaml.safe_dump(document, allow_unicode=not escaped).encode("utf-8", "surrogatepass")
        except yaml.YAMLError:
            return  # not representable in YAML
        job = load(folder, content)
        if job is not None:
            preview(job)


@st.composite
def corrupted_yaml(draw: st.DrawFn) -> bytes:
    """The bytes of a config with some of them replaced."""
    content = yaml.safe_dump({**job_document(Path("FOLDER")), **SECTIONS}).encode()
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(content)))
        stop = start + draw(st.integers(0, 8))
        replacement = st.sampled_from(
            [*INVALID_YAML[1:-8], b"\n", b"  ", b": ", b"- ", b"'", b'"', b"&a ", b"*a", b"!!int ", b"\t"]
        )
        content = content[:start] + draw(replacement | st.binary(max_size=6)) + content[stop:]
    return content


@cases(default=50, share=0.4)
@given(content=st.binary(max_size=200) | st.sampled_from(INVALID_YAML) | corrupted_yaml())
def test_arbitrary_bytes_give_a_job_or_one_message(content: bytes) -> None:
    with case_folder() as folder:
        job = load(folder, content)
        if job is not None:
            preview(job)


@pytest.mark.parametrize("content", INVALID_YAML, ids=lambda content: repr(content[:30]))
def test_invalid_yaml_gives_one_message(content: bytes) -> None:
    with case_folder() as folder:
        assert load(folder, content) is None
