"""A local server with the Scale API, for development and tests without an account.

Run it with `python -m labelflow.sandbox`, or in a test with `labelflow.sandbox.testing.running()`.
"""
