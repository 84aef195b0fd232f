"""`categorization`: one or more categories out of a list. Source: 2017 API, "Creating" and "Responses"."""

from __future__ import annotations

import random
from typing import Annotated, Any

import pyarrow as pa
from pydantic import BeforeValidator, model_validator

from labelflow.media import Media
from labelflow.problems import validation_error
from labelflow.scale.task_types.shared.checks import AnyAttachmentType, Labels, Text
from labelflow.scale.task_types.shared.params import AttachmentParams
from labelflow.scale.task_types.shared.responses import TaskResponse
from labelflow.scale.task_types.shared.task_type import Columns, Params, ResponseData, TaskType


class CategorizationParams(AttachmentParams):
    """`category_ids` maps the caller's ids to categories."""

    required = (("instruction",), ("attachment_type",), ("attachment",), ("categories",))
    instruction: Text | None = None
    attachment_type: AnyAttachmentType | None = None
    categories: Labels | None = None
    category_ids: dict[str, str] | None = None
    allow_multiple: bool = False

    @model_validator(mode="after")
    def _check_category_ids(self) -> CategorizationParams:
        for key, category in (self.category_ids or {}).items():
            if self.categories is not None and category not in self.categories:
                raise validation_error(
                    f"`category_ids` maps {key!r} to {category!r}, which is not among `categories`",
                    "use one of the categories, or add it to `categories`",
                )
        return self


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str | int | float) else value


OneOrMore = Annotated[list[str], BeforeValidator(_as_list)]


class CategorizationResponse(TaskResponse):
    """The categories as a list; the API sends a single value without `allow_multiple`."""

    category: OneOrMore
    category_id: OneOrMore | None = None


def _columns(params: Params) -> Columns:
    return [pa.field("category", pa.list_(pa.string())), pa.field("category_id", pa.list_(pa.string()))]


def _fake_response(params: Params, media: list[Media], rng: random.Random) -> ResponseData:
    categories: list[str] = params.get("categories") or ["category"]
    count = rng.randint(1, min(2, len(categories))) if params["allow_multiple"] else 1
    chosen = rng.sample(categories, count)
    ids = {category: key for key, category in (params.get("category_ids") or {}).items()}
    response: ResponseData = {"category": chosen if params["allow_multiple"] else chosen[0]}
    if ids:
        chosen_ids = [ids[category] for category in chosen if category in ids]
        response["category_id"] = chosen_ids if params["allow_multiple"] else next(iter(chosen_ids), None)
    return response


TYPE = TaskType("categorization", CategorizationParams, CategorizationResponse, _columns, _fake_response)
