"""Load test of callbacks with a receiver that is killed several times: python -m tests.proofs.callbacks."""
