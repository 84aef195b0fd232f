"""What is claimed about speed, measured. Each module is a command: python -m benchmarks.NAME."""
