"""The order of steps, nothing else. Each file is a Prefect flow, and a command: python -m flows.NAME."""
