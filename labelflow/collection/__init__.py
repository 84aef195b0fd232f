"""Take over finished tasks, by polling and from callbacks."""
