"""Virtual time for a test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from oneiric.testing import VirtualClock, run_virtual

T = TypeVar("T")


class Clock(VirtualClock):
    """Seconds that pass when they are told to, or when a loop that runs by them has nothing else to do."""

    def __init__(self) -> None:
        super().__init__()
        # Threads that a test starts before it runs anything are waited for, too; those from before it are not.
        self._before = frozenset(threading.enumerate())

    def run(
        self, main: Coroutine[Any, Any, T] | Callable[[], Coroutine[Any, Any, T]], *, timeout: float = 60.0
    ) -> T:
        """Run *main* as ``asyncio.run`` would, in virtual time.

        Args:
            main: A coroutine, or a function that gives one.
            timeout: Real seconds; it is for runs that would never end.
        Returns:
            What *main* returned.
        Raises:
            LeftBehind: It left a task, or an error that nobody looked at.
            Stuck: Nothing could ever wake it, or it took longer than *timeout*.
        """
        return run_virtual(main, clock=self, timeout=timeout, ignore=self._before)
