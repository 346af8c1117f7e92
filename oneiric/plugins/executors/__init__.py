"""Executors that come with Oneiric."""
