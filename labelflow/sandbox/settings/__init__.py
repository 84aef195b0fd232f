"""What the command line sets: options, API version, faults."""
