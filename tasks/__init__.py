"""Prefect's skin over the work: each task is a name, its options, and one call into `labeling`."""
