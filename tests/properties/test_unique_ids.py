"""Different tasks of a job have different unique_ids, whatever the ids of its rows contain."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from labelflow.planning.requests.task_requests import MAX_UNIQUE_ID_CHARS, unique_id
from tests.properties.conftest import cases

Key = tuple[str, str, int, int]  # job, row_id, generation, copy

PIECES = ["a", "b", "#", "+", "/", "1", "12", "%23", "sha256-", "-", ".", "job", "job#1/", "x" * MAX_UNIQUE_ID_CHARS]
JOBS = st.sampled_from(["job", "job.1", "job-1", "j" * 80])
ROW_IDS = st.text(min_size=1) | st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join)
KEYS: st.SearchStrategy[Key] = st.tuples(JOBS, ROW_IDS, st.integers(0, 12), st.integers(0, 12))
SHORTENED = unique_id("job", "x" * 1000).removeprefix("job/")


def derived(key: Key) -> st.SearchStrategy[Key]:
    """A task that might be confused with another: its row id is made of the other's unique_id."""
    job, row_id, generation, copy = key
    whole = unique_id(job, row_id, generation, copy)
    row_ids = [row_id, whole, whole.partition("/")[2], f"{row_id}#{generation}", f"{row_id}+{copy}"]
    return st.tuples(st.just(job), st.sampled_from(row_ids), st.integers(0, 2), st.integers(0, 2))


@cases(500)
@given(KEYS.flatmap(lambda key: st.tuples(st.just(key), KEYS | derived(key))))
@example((("job", "a", 1, 0), ("job", "a#1", 0, 0)))
@example((("job", "x" * 1000, 0, 0), ("job", SHORTENED, 0, 0)))
def test_different_tasks_never_share_a_unique_id(keys: tuple[Key, Key]) -> None:
    first, second = keys
    ids = [unique_id(job, row_id, generation, copy) for job, row_id, generation, copy in keys]
    assert (first == second) == (ids[0] == ids[1])
    assert all(len(each) <= MAX_UNIQUE_ID_CHARS for each in ids)
