"""Labels that annotators choose from: texts, or trees of which only the leaves can be chosen. Source: current API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import ValidationError, WrapValidator

from labelflow.problems import abbreviate, problems, validation_error
from labelflow.scale.task_types.shared.checks import Text, check_text, not_empty
from labelflow.scale.task_types.shared.params import NestedParams


class LabelDescription(NestedParams):
    """A label, or a group of labels. display: shown instead of `choice`, and never returned."""

    choice: Text
    subchoices: LabelTree | None = None
    instance_label: bool | None = None
    display: str | None = None


def _check_label(value: Any, _: Any) -> str | dict[str, Any]:
    """Return a label. Raises PydanticCustomError with one problem, not with one for each form that a label may have."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return check_text(str(value))
    if not isinstance(value, Mapping):
        raise validation_error(f"got {abbreviate(value)}", "use a text, or an object with `choice`")
    try:
        return LabelDescription.model_validate(value).model_dump(exclude_unset=True)
    except ValidationError as error:
        problem = problems(error)[0]
        raise validation_error(
            f"`{problem.field}` {problem.reason}" if problem.field else problem.reason, problem.fix
        ) from None


Label = Annotated[str | dict[str, Any], WrapValidator(_check_label)]
LabelTree = Annotated[list[Label], not_empty("one label")]
LabelDescription.model_rebuild()


def leaves(labels: object) -> list[str]:
    """Return the labels that can be chosen.

    >>> leaves(["car", {"choice": "heavy", "subchoices": ["bus", "lorry"]}])
    ['car', 'bus', 'lorry']
    """
    return [label for label, _ in _walk(labels, ())]


def parents(trees: Iterable[object]) -> dict[str, list[str]]:
    """Return the groups of each label, from the outside in. A label in several places has those of the first.

    >>> parents([["car", {"choice": "heavy", "subchoices": ["bus"]}]])
    {'car': [], 'bus': ['heavy']}
    """
    groups: dict[str, list[str]] = {}
    for tree in trees:
        for label, path in _walk(tree, ()):
            groups.setdefault(label, list(path))
    return groups


def _walk(labels: object, path: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for label in labels if isinstance(labels, list) else []:
        if isinstance(label, Mapping):
            choice, subchoices = str(label.get("choice")), label.get("subchoices")
            if subchoices:
                yield from _walk(subchoices, (*path, choice))
            else:
                yield choice, path
        else:
            yield str(label), path
