"""What the built-in queues agree on: their settings, which arguments they take, and how one waits for a message."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Awaitable, Callable, Sequence

import attrs
from attrs.validators import le
from oneiric_hookspecs import Delivery

from ._cache import a_count, some_seconds

#: Longest time that may be asked for, in seconds: ten years.
MAX_SECONDS = 10 * 365 * 86_400
#: Largest body: SQLite's own limit for one value, less what else is in its row.
MAX_BODY = 999_000_000
#: How many messages can be received at once.
MAX_LIMIT = 10_000


@attrs.frozen
class Bounds:
    """How much is kept, and for how long somebody may hold it.

    Args:
        visibility: Seconds for which a message is held by whoever received it, where he does not say.
        max_attempts: How many times a message is received before it is a dead letter.
        max_messages: How many messages there may be, dead letters among them.
        max_bytes: How many bytes their bodies may have together.
        max_message_bytes: How many bytes one body may have.
    """

    visibility: float = attrs.field(default=30.0, validator=[some_seconds, le(MAX_SECONDS)])
    max_attempts: int = attrs.field(default=5, validator=a_count)
    max_messages: int = attrs.field(default=100_000, validator=a_count)
    max_bytes: int = attrs.field(default=256 * 1024 * 1024, validator=a_count)
    max_message_bytes: int = attrs.field(default=1024 * 1024, validator=[a_count, le(MAX_BODY)])

    def check_body(self, body: object) -> None:
        """Refuse what is no body.  Raises: TypeError, ValueError."""
        if not isinstance(body, bytes):
            raise TypeError(f"a message's body is bytes, found {type(body).__name__}")
        if len(body) > self.max_message_bytes:
            raise ValueError(
                f"a message's body has at most {self.max_message_bytes} bytes (max_message_bytes), found {len(body)}"
            )

    def check_room(self, messages: int, size: int, body: bytes) -> None:
        """Refuse *body* where it does not fit.  Raises: asyncio.QueueFull."""
        if messages >= self.max_messages:
            raise asyncio.QueueFull(f"the queue holds {messages} messages, as many as it may (max_messages)")
        if size + len(body) > self.max_bytes:
            raise asyncio.QueueFull(
                f"the queue holds {size} bytes, and {len(body)} more would be over {self.max_bytes} (max_bytes)"
            )

    def full(self, messages: int, size: int) -> str:
        """What health says about that many; empty where there is room."""
        if messages < self.max_messages and size < self.max_bytes:
            return ""
        return f"it is full: {messages} messages of {size} bytes"


def token() -> str:
    """What nobody can guess, and nobody else has; for receipts."""
    return os.urandom(16).hex()


def check_seconds(value: object, what: str, *, zero: bool = True) -> None:
    """Refuse what is no time to wait.  Raises: TypeError, ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{what} is a number of seconds, found {type(value).__name__}")
    if not math.isfinite(value) or not 0 <= value <= MAX_SECONDS or not (zero or value):
        least = "0 or more" if zero else "more than 0"
        raise ValueError(f"{what} is {least} seconds and at most {MAX_SECONDS}, found {value!r}")


def check_limit(value: object) -> None:
    """Refuse what is no number of messages.  Raises: TypeError, ValueError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"the limit is a whole number, found {type(value).__name__}")
    if not 1 <= value <= MAX_LIMIT:
        raise ValueError(f"the limit is 1 to {MAX_LIMIT}, found {value}")


def check_text(value: object, what: str) -> None:
    """Refuse what is no text.  Raises: TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"{what} is a text, found {type(value).__name__}")


class Waiting:
    """Tasks that wait for a message; woken when something may have come, or after a time."""

    def __init__(self) -> None:
        self._sleepers: set[asyncio.Future[None]] = set()

    def wake(self) -> None:
        """Let all of them look."""
        for sleeper in self._sleepers:
            if not sleeper.done():
                sleeper.set_result(None)

    async def until_some(
        self,
        take: Callable[[], Awaitable[Sequence[Delivery]]],
        next_in: Callable[[], float],
        wait: float,
    ) -> Sequence[Delivery]:
        """Call *take* until it gives something, or *wait* seconds have passed.

        Args:
            take: Takes what there is.
            next_in: In how many seconds to look again, although nobody has been woken.
            wait: How long to wait.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        while True:
            # Before looking: what comes meanwhile is not missed.
            sleeper = loop.create_future()
            self._sleepers.add(sleeper)
            try:
                found = await take()
                left = deadline - loop.time()
                if found or left <= 0:
                    return found
                await asyncio.wait({sleeper}, timeout=min(left, max(next_in(), 0.001)))
            finally:
                self._sleepers.discard(sleeper)
