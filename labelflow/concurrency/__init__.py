"""Stop tokens, threads, leases."""
