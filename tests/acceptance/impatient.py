"""The command, with hardly a pause between two attempts: python -m tests.acceptance.impatient CONFIG"""

from __future__ import annotations

import runpy

from scale.retry import RetryPolicy

SHORT = 0.05  # seconds

if __name__ == "__main__":
    RetryPolicy.pause_after = lambda *_: SHORT  # type: ignore[method-assign]
    runpy.run_module("flows.label_dataset", run_name="__main__")
