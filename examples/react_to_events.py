"""React to labelflow's events: poll Prefect's API, call a function for each event, stop when a job is completed.

python examples/react_to_events.py JOB      (PREFECT_API_URL is the Prefect server)

Replace `on_event` with your next step, such as a training run. An event may arrive twice, so make the step repeatable.
Without code of your own, an automation of Prefect can start a deployment on the same events.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import requests

NAMES = ["labelflow.labels.written", "labelflow.job.completed"]
POLL_INTERVAL = 1.0  # seconds


def on_event(event: dict[str, Any]) -> None:
    payload = event["payload"]
    print(f"{event['event']}: labeled={payload['labeled']} output={payload['output']}", flush=True)


def main(job: str) -> None:
    url = f"{os.environ['PREFECT_API_URL']}/events/filter"
    wanted = {
        "event": {"name": NAMES},
        "resource": {"id": [f"labelflow.job.{job}"]},
        "occurred": {"since": "2020-01-01T00:00:00Z"},
        "order": "ASC",
    }
    handled: set[str] = set()
    while True:
        response = requests.post(url, json={"filter": wanted}, timeout=20)
        response.raise_for_status()
        for event in response.json()["events"]:
            if event["id"] not in handled:
                handled.add(event["id"])
                on_event(event)
                if event["event"] == NAMES[-1]:
                    return
        time.sleep(POLL_INTERVAL)


if __name__ == "__main__":
    main(*sys.argv[1:])
