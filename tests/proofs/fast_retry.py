"""The command with short pauses between attempts: python -m tests.proofs.fast_retry CONFIG"""

from __future__ import annotations

import runpy

from labelflow.scale.retry import RetryPolicy

RETRY_PAUSE = 0.05  # seconds

if __name__ == "__main__":
    RetryPolicy.delay_after = lambda *_: RETRY_PAUSE  # type: ignore[method-assign]
    runpy.run_module("flows.label_dataset", run_name="__main__")
