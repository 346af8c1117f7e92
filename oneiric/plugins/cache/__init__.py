"""Providers of ``adapter:cache``."""
