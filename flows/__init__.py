"""The order of steps, nothing else. Each file is a Prefect flow, and a command: python -m flows.NAME."""

import os

# Arrow reads it when it is imported. Its own allocator keeps tens of megabytes that nobody uses any more.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
