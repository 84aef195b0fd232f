"""Receive callbacks: a web service that stores the answers that Scale sends, until the next run collects them.

python -m flows.receive_callbacks CONFIG... [--host H] [--port P]

Not a Prefect flow: the service runs permanently. docs/callbacks.md describes how to expose it.
"""

from __future__ import annotations

from labelflow.cli.commands.receive import main

if __name__ == "__main__":
    main()
