"""The job: its model, its file, its secrets, its connection to the API."""
