"""Current types for texts, documents and forms: what is said, and where it stands."""
