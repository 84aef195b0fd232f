"""The SQLite database of tasks and callbacks, and the queues of what is due."""
