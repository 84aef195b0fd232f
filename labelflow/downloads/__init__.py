"""Read files over HTTP within limits of time and size, from public addresses only."""
