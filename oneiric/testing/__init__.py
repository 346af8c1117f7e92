"""Help for testing what runs in Oneiric: time that passes at once."""

from .virtual import LeftBehind, Stuck, VirtualClock, VirtualLoop, run_virtual

__all__ = ["LeftBehind", "Stuck", "VirtualClock", "VirtualLoop", "run_virtual"]
