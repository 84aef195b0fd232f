"""The tasks, in SQLite, and what is due."""
