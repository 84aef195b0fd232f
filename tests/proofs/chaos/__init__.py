"""Kill runs with SIGKILL, inject network and storage errors, then audit the result: `make chaos`, and test_chaos.py."""
