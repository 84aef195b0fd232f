"""The command line: arguments, display, signals, exit status."""
