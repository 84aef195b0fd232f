"""The manifest against the ledger: which rows need a task, and what would be sent."""
