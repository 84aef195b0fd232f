"""Scale's own Python client works with the sandbox unchanged. Source: current API."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from scaleapi import ScaleClient
from scaleapi.exceptions import (
    ScaleDuplicateResource,
    ScaleInvalidRequest,
    ScaleResourceNotFound,
    ScaleUnauthorized,
)
from scaleapi.tasks import TaskStatus, TaskType

from tests.support.examples import examples
from tests.support.sandbox_client import ApiClient, text_request, wait_until

Example = Callable[[str], dict[str, Any]]


@pytest.fixture
def official_client(live: ApiClient) -> ScaleClient:
    return ScaleClient(live.key, api_instance_url=live.url)


@pytest.mark.parametrize("name", examples())
def test_create_get_list_and_cancel(name: str, official_client: ScaleClient, local_example: Example) -> None:
    task = official_client.create_task(SimpleNamespace(value=name), **local_example(name)["request"])
    assert task.status == "pending"
    assert official_client.get_task(task.id).as_dict() == task.as_dict()
    assert [listed.id for listed in official_client.tasks(type=name, status="pending")] == [task.id]
    task.cancel()
    task.refresh()
    assert task.status == "canceled"
    with pytest.raises(ScaleInvalidRequest):
        official_client.cancel_task(task.id)


@pytest.mark.parametrize("name", examples())
def test_test_key_gets_an_answer(name: str, test_mode: ApiClient, local_example: Example) -> None:
    official_client = ScaleClient(test_mode.key, api_instance_url=test_mode.url)
    task = official_client.create_task(SimpleNamespace(value=name), **local_example(name)["request"])

    def is_completed() -> bool:
        task.refresh()
        return bool(task.status == "completed")

    wait_until(is_completed)
    assert task.response.keys() == local_example(name)["task_completed"]["response"].keys()


def test_paging_with_the_client_generator(official_client: ScaleClient) -> None:
    request = {**text_request(), "project": "street"}
    created_ids = [official_client.create_task(TaskType.Categorization, **request, tags=["a"]).id for _ in range(23)]
    listed = official_client.get_tasks(
        project_name="street",
        task_type=TaskType.Categorization,
        status=TaskStatus.Pending,
        tags=["a", "b"],
        created_after="2017-08-06 21:31:08.250000",
        limit=10,
    )
    assert [task.id for task in listed] == created_ids[::-1]
    assert official_client.get_tasks_count(project_name="street") == 23


def test_unique_ids_metadata_and_tags(official_client: ScaleClient) -> None:
    task = official_client.create_task(TaskType.Categorization, **text_request(), unique_id="one")
    with pytest.raises(ScaleDuplicateResource, match=task.id):
        official_client.create_task(TaskType.Categorization, **text_request(), unique_id="one")
    assert official_client.tasks(unique_id=["one", "two"])[0].id == task.id
    task.update_unique_id("two")
    task.set_metadata({"row_id": "7"})
    task.set_tags(["a", "b"])
    task.add_tags(["c"])
    task.delete_tags(["a"])
    task.refresh()
    assert (task.unique_id, task.metadata, task.tags) == ("two", {"row_id": "7"}, ["b", "c"])
    task.clear_unique_id()
    task.update_unique_id("three")
    task.cancel(clear_unique_id=True)
    task.refresh()
    assert "unique_id" not in task.as_dict()


def test_official_client_errors(official_client: ScaleClient, url: str) -> None:
    with pytest.raises(ScaleInvalidRequest, match="categories"):
        official_client.create_task(TaskType.Categorization, **{**text_request(), "categories": []})
    with pytest.raises(ScaleResourceNotFound):
        official_client.get_task("0" * 24)
    with pytest.raises(ScaleUnauthorized):
        ScaleClient("unknown", api_instance_url=url).tasks()
