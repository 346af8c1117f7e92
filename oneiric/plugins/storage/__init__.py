"""Providers of ``adapter:storage``."""
