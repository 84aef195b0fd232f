"""Prefect flows: the order of the steps. Each file is also a command: `python -m flows.NAME`."""

import os

# Arrow reads the variable on import. Its default allocator keeps tens of megabytes of unused memory.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
