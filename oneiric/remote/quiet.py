"""Reading very many values without the garbage collector looking at them again and again."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

#: More objects than an interpreter freezes as it starts (CPython 3.12 does).  Where there are as many, the application
#: froze what it had, and that stays so.
_STARTED = 1000


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Let the collector rest in this block.

    What is made here is kept, and has no circles; a collector that runs every 700 objects takes a third of the time,
    and the loop's thread waits for it.  Whoever finds it resting leaves it so, and the first to have come wakes it.

    It wakes to find nothing young: else it would begin by looking at all that was made here, in one go, while every
    thread waits.  What there is counts as old, and is looked at with the next full collection.
    """
    rests = not gc.isenabled()
    if not rests:
        gc.disable()
    try:
        yield
    finally:
        if not rests:
            if gc.get_freeze_count() < _STARTED:
                # Both only link lists of objects together, however long they are.
                gc.freeze()
                gc.unfreeze()
            gc.enable()
