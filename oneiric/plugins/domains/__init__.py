"""The kinds of parts that are built in, each a plugin."""
