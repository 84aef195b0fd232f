"""A local server that speaks the Scale API, so that everything here runs with no account.

Run it with `python -m labelflow.sandbox`, or within a test with `labelflow.sandbox.testing.running()`.
"""
