"""The built-in providers of ``adapter:http``."""
