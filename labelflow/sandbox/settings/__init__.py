"""Settings of a sandbox: command-line options, API version, faults."""
