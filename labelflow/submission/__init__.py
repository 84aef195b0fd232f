"""Create one task per row, exactly once."""
