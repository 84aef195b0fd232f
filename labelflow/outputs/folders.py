"""The folders of a job's output, relative to the output folder."""

from __future__ import annotations

LABELS = "labels/"  # one row per task with a label
ERRORS = "errors/"  # one row per task that finished without a label, or was canceled
REJECTS = "rejects/"  # one row per manifest row that was never submitted
REJECTS_FILE = "rejects/rejects.parquet"
