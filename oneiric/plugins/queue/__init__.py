"""Providers of ``adapter:queue``."""
