"""How long things take, in little memory: percentiles since the start, and over the last few minutes.

A ``Histogram`` counts; a ``Windowed`` one forgets, too; ``Counts`` does the same for what is only counted.
"""

from .histogram import ERROR, Histogram
from .windowed import RECENT, Counts, Ring, Windowed

__all__ = ["ERROR", "RECENT", "Counts", "Histogram", "Ring", "Windowed"]
