"""What people read: labels/, errors/, rejects/."""
