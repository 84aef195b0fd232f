"""The JSON schema of a config: it accepts the configs of the repository and finds what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from labelflow.jobs.schema import config_schema
from labelflow.scale.task_types import known_types
from tests.support.commands import ROOT
from tests.support.jobs import job_document

VALIDATOR = jsonschema.Draft202012Validator(config_schema())
BOXES = {"type": "annotation", "attachment": "{image}", "objects_to_annotate": ["car"], "min_width": "{smallest}"}


def test_it_is_a_schema_and_the_published_one() -> None:
    jsonschema.Draft202012Validator.check_schema(config_schema())
    command = [sys.executable, "-m", "labelflow", "schema"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    published = (ROOT / "docs" / "job.schema.json").read_text()
    assert printed == published, "run: labelflow schema > docs/job.schema.json"


@pytest.mark.parametrize("config", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_configs_of_the_repository_are_valid(config: Path) -> None:
    assert list(VALIDATOR.iter_errors(yaml.safe_load(config.read_text()))) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"task": BOXES},
        {"task": {"type": "some_other_type", "anything": 1}},
        {"submit": {"rate": "50/s", "max_tasks": 5}},
        {"attachments": {"presign": "2h"}, "max_unlabeled": "5%", "runner": "dask"},
    ],
)
def test_valid_config_is_accepted(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert list(VALIDATOR.iter_errors({**job_document(tmp_path), **changes})) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"task": {**BOXES, "objects_to_annotate": "car"}},
        {"task": {**BOXES, "min_width": "ten"}},
        {"task": {"attachment": "{image}"}},
        {"submit": {"max_taks": 5}},
        {"submit": {"rate": "fast"}},
        {"attachments": {"presign": "a week"}},
    ],
)
def test_what_is_wrong_is_found(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert list(VALIDATOR.iter_errors({**job_document(tmp_path), **changes}))


def test_each_known_type_has_its_parameters() -> None:
    definitions = json.loads(json.dumps(config_schema()))["$defs"]
    for name, kind in known_types.items():
        properties = definitions[f"task.{name}"]["properties"]
        assert properties["type"] == {"const": name}
        assert set(kind.params.model_fields) <= set(properties)


def test_durations_are_shown_as_people_write_them() -> None:
    definitions = config_schema()["$defs"]
    assert definitions["CollectSection"]["properties"]["timeout"]["default"] == "8d"
    assert definitions["AttachmentsSection"]["properties"]["presign"]["default"] == "7d"
