"""Receive callbacks, store them durably, hand them over."""
