"""Enter the new, probe it, promote it, retire the old; or put everything back."""

from .engine import Engine

__all__ = ["Engine"]
