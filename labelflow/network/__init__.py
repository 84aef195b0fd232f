"""HTTP connections with limits: of time, of size, and of the addresses that they may reach."""
