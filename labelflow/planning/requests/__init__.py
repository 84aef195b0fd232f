"""Task requests: what is sent for a row."""
