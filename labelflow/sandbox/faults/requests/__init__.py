"""Faults that requests meet: broken connections, server errors, rate limits, delays, truncated responses."""
