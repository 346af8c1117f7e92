"""Providers of ``adapter:database``."""
