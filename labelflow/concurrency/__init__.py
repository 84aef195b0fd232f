"""Concurrency: the stop token, daemon threads, and leases on output folders."""
