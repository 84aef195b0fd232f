"""labelflow as a contender. Each module runs as a separate process, and reports its figures at its end."""

import flows as flows  # configures the process as that of a flow: see there
