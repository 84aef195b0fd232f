"""Kill -9, broken networks and stores, again and again; then count. `make chaos`, and test_chaos.py beside it."""
