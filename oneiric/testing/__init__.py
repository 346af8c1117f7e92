"""Help for testing what runs in Oneiric: time that passes at once, and what every kit promises."""

from .conformance import KitConformance
from .virtual import LeftBehind, Stuck, VirtualClock, VirtualLoop, run_virtual

__all__ = ["KitConformance", "LeftBehind", "Stuck", "VirtualClock", "VirtualLoop", "run_virtual"]
