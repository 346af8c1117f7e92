"""Reading very many values without the garbage collector looking at them again and again."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Let the collector rest in this block.

    What is made here is kept, and has no circles; a collector that runs every 700 objects takes a third of the time,
    and the loop's thread waits for it.  Whoever finds it resting leaves it so, and the first to have come wakes it.
    """
    rests = not gc.isenabled()
    if not rests:
        gc.disable()
    try:
        yield
    finally:
        if not rests:
            gc.enable()
