"""Prefect flows: the order of the steps. Each file is also a command: `python -m flows.NAME`."""

import os

# Arrow reads this variable when it is imported. Its default allocator retains tens of megabytes of unused memory.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
