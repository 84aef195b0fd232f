"""Runs killed with -9 at any moment, on broken networks and stores: one task per row, no row lost. See `make chaos`."""

from __future__ import annotations

import pytest

from tests.proofs.chaos.scenario import run_scenario


@pytest.mark.parametrize(
    ("api_version", "store", "kills", "command_kills"),
    [("current", "disk", 8, 2), ("current", "s3", 7, 1), ("2017", "disk", 8, 1), ("2017", "s3", 7, 1)],
)
def test_one_task_per_row_and_no_row_lost_despite_kills_and_outages(
    api_version: str, store: str, kills: int, command_kills: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)  # restored afterwards: the store's are set meanwhile
    tally = run_scenario(api_version, store, kills, command_kills, seed=20_261_124)
    print("\n".join(tally.to_lines()))
    assert tally.kills.total() >= kills
    assert tally.command_kills >= command_kills
    assert sum(tally.outages.values()) > 0
    assert 0 < tally.capped < tally.jobs, "some of the jobs have a cap"
    assert tally.overlaps > 0
    assert tally.wrong_clocks > 0
    assert tally.namespaces > 0, "only root can create PID namespaces"
    assert tally.refused > 0, "with a cap, and on the 2017 API, a second run is refused"
    assert tally.command_kills_at_work > 0
    assert min(tally.faults[name] for name in ("429-wait", "recall", "lag", "dropped")) > 0
    assert tally.is_clean, "\n".join(tally.to_lines())
