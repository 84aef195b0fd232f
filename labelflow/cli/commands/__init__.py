"""One module per command: its arguments, its checks before Prefect is imported, its output."""
