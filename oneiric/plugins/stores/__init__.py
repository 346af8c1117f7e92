"""Kinds of state stores."""
