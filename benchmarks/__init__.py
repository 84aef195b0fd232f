"""Benchmarks of speed and memory: `make bench`. See docs/benchmarks.md."""
