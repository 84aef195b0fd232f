"""The Prefect layer: each task has a name, its options, and one call into `labelflow`."""
