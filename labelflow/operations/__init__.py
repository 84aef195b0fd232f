"""One file per command: what a flow does."""
