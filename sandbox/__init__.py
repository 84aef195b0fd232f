"""A local server that speaks the Scale API, so that everything here runs with no account.

Run it with `python -m sandbox`, or within a test with `sandbox.server.running()`.
"""
