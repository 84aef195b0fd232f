"""A job that waits for callbacks also polls: it is labeled if no callback arrives."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pandas as pd
import pytest

from tests.support.jobs import make_job
from tests.support.run_job import label
from tests.support.sandbox import running_in_process

ROWS = 20


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.parametrize("api_version", ["current", "2017"])
def test_job_with_unreachable_callbacks_is_labeled_by_polling(
    tmp_path: Path, api_version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE_API_KEY", "live_net")
    monkeypatch.setenv("SCALE_CALLBACK_AUTH_KEY", "the-callback-auth-key")
    rows = [{"id": f"r{number}", "text": f"text {number}"} for number in range(ROWS)]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    nowhere = f"http://127.0.0.1:{free_port()}/callback"
    completion = {"wait": "callback", "callback_url": nowhere, "port": free_port(), "poll_interval": "0.1s"}
    with running_in_process(api=api_version, turnaround="0.2-1.5") as url:
        summary = label(make_job(tmp_path, scale={"url": url, "mode": "live"}, collect=completion))
    assert (summary.labeled, summary.pending) == (ROWS, 0)
    assert len(pd.read_parquet(tmp_path / "out" / "labels")) == ROWS
