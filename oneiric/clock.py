"""The runtime's clock."""

from __future__ import annotations

import time
from asyncio import AbstractEventLoop
from collections.abc import Callable


class RuntimeClock:
    """Seconds that only grow: ``time.monotonic``, and once the runtime runs on a loop, that loop's time.

    So a test that brings a loop with a virtual clock has brought the clock, too.
    """

    __slots__ = ("time",)

    #: The seconds now; from any thread.
    time: Callable[[], float]

    def __init__(self) -> None:
        self.time = time.monotonic

    def follow(self, loop: AbstractEventLoop) -> None:
        """Read *loop*'s time from now on."""
        self.time = loop.time
