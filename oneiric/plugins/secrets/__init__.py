"""Built-in secret sources."""
