"""Prefect tasks: each has a name, options, and one call into `labelflow`."""
