"""The demo: generated sample data sets, labeled by the local sandbox."""
