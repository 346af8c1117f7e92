"""How many may be at something at once."""

from __future__ import annotations

import asyncio
from collections import deque


class Lane:
    """Of a handler, a task, an executor: at most so many are in it; the others wait, first come, first served.

    Attributes:
        limit: How many; may be changed at any time, for those who come in later.
    """

    __slots__ = ("_inside", "_waiting", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def enter(self) -> bool:
        """Come in, where it is free; whether it was."""
        if self._inside < self.limit and not self._waiting:
            self._inside += 1
            return True
        return False

    async def wait(self) -> None:
        """Come in when it is one's turn."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()  # the turn came in the very step of the cancellation; it is the next one's
            elif turn in self._waiting:  # unless who left has passed it over already
                self._waiting.remove(turn)
            raise

    def leave(self) -> None:
        """Go out, and let in who waits."""
        self._inside -= 1
        while self._waiting and self._inside < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self._inside += 1
                turn.set_result(None)
