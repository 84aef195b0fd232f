"""What several task types share."""
