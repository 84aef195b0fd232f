"""One file per container: its duration, and whether it contains audio or video."""
