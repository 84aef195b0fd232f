"""A job: its model, its config file, its secrets, its connection to the API."""
