"""The counts of a job: progress, totals, summary."""
