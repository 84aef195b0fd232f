"""`annotation_attributes`: questions about each annotation, their columns, and random answers. Source: current API."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Self

import pyarrow as pa
from pydantic import model_validator

from labelflow.problems import abbreviate, validation_error
from labelflow.scale.task_types.shared.drawing.labels import LabelTree, leaves
from labelflow.scale.task_types.shared.fake_text import fake_words
from labelflow.scale.task_types.shared.params import NestedParams, similar_key

CATEGORY, NUMBER, ANGLE, TEXT = "category", "number", "angle", "text"
KNOWN_KINDS = (CATEGORY, NUMBER, ANGLE, TEXT)


class AnnotationAttribute(NestedParams):
    """A question about each annotation.

    type: one of KNOWN_KINDS, `category` by default; Scale has more, whose names are not documented.
    """

    type: str | None = None
    description: str | None = None
    choices: LabelTree | None = None
    allow_multiple: bool | None = None

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if self.type is not None and self.type not in KNOWN_KINDS and (known := similar_key(self.type, KNOWN_KINDS)):
            raise validation_error(f"has the type {abbreviate(self.type)}", f"did you mean `{known}`?")
        if self.type == CATEGORY and self.choices is None:
            raise validation_error("is a category without `choices`", "give the `choices`, or another `type`")
        return self


def attributes_type(attributes: object) -> pa.DataType:
    """Return the Arrow type of the answers to `annotation_attributes`: a struct with the same names.

    attributes: the value in the job. If the job does not name the attributes: a map of strings to strings.
    """
    if isinstance(attributes, Mapping) and attributes:
        return pa.struct([pa.field(str(name), _answer_type(attribute)) for name, attribute in attributes.items()])
    return pa.map_(pa.string(), pa.string())


def fake_attributes(attributes: object, rng: random.Random) -> dict[str, Any]:
    """Return a random answer to each attribute."""
    named = attributes if isinstance(attributes, Mapping) else {}
    return {name: _fake_answer(attribute, rng) for name, attribute in named.items()}


def _answer_type(attribute: object) -> pa.DataType:
    described = attribute if isinstance(attribute, Mapping) else {}
    if described.get("type") in (NUMBER, ANGLE):
        return pa.float64()
    is_list = _kind(described) == CATEGORY and described.get("allow_multiple") is True
    return pa.list_(pa.string()) if is_list else pa.string()


def _fake_answer(attribute: Mapping[str, Any], rng: random.Random) -> Any:
    kind, choices = _kind(attribute), leaves(attribute.get("choices"))
    if kind == CATEGORY and choices:
        return rng.sample(choices, 1) if attribute.get("allow_multiple") else rng.choice(choices)
    if kind in (NUMBER, ANGLE):
        return rng.randint(0, 359 if kind == ANGLE else 9)
    return " ".join(fake_words(2, [], rng)) if kind == TEXT else None


def _kind(attribute: Mapping[str, Any]) -> Any:
    return attribute.get("type") or CATEGORY
