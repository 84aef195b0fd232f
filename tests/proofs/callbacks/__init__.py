"""A storm of callbacks, with a receiver that is killed again and again: python -m tests.proofs.callbacks."""
