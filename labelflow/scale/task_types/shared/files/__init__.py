"""What the types share whose answers are files: where their URLs are, their columns, and files for the sandbox."""
