"""Connections, bounded: uvicorn speaks HTTP, and leaves to others how many of them there are, and for how long.

W1  a connection serves one request
W2  its head comes in time, and is no larger than it may be
W3  the answer is taken in time
W4  so many connections, and no more; who has not asked yet makes room for who comes
W5  signals, and logging, stay as they are
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator
from typing import Any

import attrs
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

#: Bytes of a head.
HEAD = 16 * 1024
#: Seconds between two lines in the log about what is no HTTP.
SELDOM = 60.0


@attrs.define(eq=False)
class Crowd:
    """The connections there are.

    Args:
        most: How many there may be.
        asking: Seconds for a request to come.
        taking: Seconds for everything.

    Attributes:
        waiting: Those that have not asked yet, the oldest first.
        there: All of them.
    """

    most: int
    asking: float
    taking: float
    waiting: dict[Bounded, None] = attrs.field(factory=dict)
    there: set[Bounded] = attrs.field(factory=set)

    def let_in(self, one: Bounded) -> bool:
        """Whether there is room for *one*; there is, where somebody has not asked yet (W4)."""
        if len(self.there) >= self.most:
            oldest = next(iter(self.waiting), None)
            if oldest is None:
                return False
            oldest.abort()
        self.there.add(one)
        self.waiting[one] = None
        return True

    def left(self, one: Bounded) -> None:
        """It is gone."""
        self.there.discard(one)
        self.waiting.pop(one, None)

    def abort(self) -> None:
        """End all of them."""
        for each in list(self.there):
            each.abort()


class Bounded(H11Protocol):
    """One connection; ``crowd`` is set by a subclass that is made for each server."""

    crowd: Crowd

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A line for each probe is what nobody wants, and one for each bad request is what somebody might.
        self.access_log = False
        self.logger = _seldom()
        self._timer: asyncio.TimerHandle | None = None
        self._wire: asyncio.Transport | None = None
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, if there is room."""
        self._wire = transport
        if not self.crowd.let_in(self):
            self._refused = True
            transport.write(
                b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
            transport.close()
            self._within(1.0)
            return
        super().connection_made(transport)
        self._within(self.crowd.asking)

    def data_received(self, data: bytes) -> None:
        """Take what came; as soon as that is a whole head, there is more time (W2, W3)."""
        if self._refused:
            return
        super().data_received(data)
        asked: object = self.scope
        if asked is not None and self in self.crowd.waiting:
            del self.crowd.waiting[self]
            self._within(self.crowd.taking)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        if self._timer is not None:
            self._timer.cancel()
        self.crowd.left(self)
        if not self._refused:
            super().connection_lost(exc)

    def abort(self) -> None:
        """End it at once, whatever was still to be written."""
        self.crowd.left(self)
        if self._wire is not None:
            self._wire.abort()

    def _within(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self.abort)


class Server(uvicorn.Server):
    """A server that is ended by ``stop``, and takes no signals (W5)."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up, self._stop = asyncio.Event(), asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """They belong to whoever runs the process."""
        yield

    async def startup(self, sockets: Any = None) -> None:
        """Say when it listens."""
        await super().startup(sockets=sockets)
        self.up.set()

    async def main_loop(self) -> None:
        """Wait for the end, without looking at the clock ten times a second."""
        await self._stop.wait()

    def stop(self) -> None:
        """Take no more connections, and let those end that there are."""
        self.should_exit = True
        self._stop.set()


def server(application: Any, crowd: Crowd, grace: int) -> Server:
    """A server on the loop that runs."""
    protocol = type("Connection", (Bounded,), {"crowd": crowd})
    config = uvicorn.Config(
        application,
        http=protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level=None,
        access_log=True,  # False would take the logger's handlers away
        proxy_headers=False,
        server_header=False,
        date_header=False,
        h11_max_incomplete_event_size=HEAD,
        timeout_graceful_shutdown=grace,
    )
    return Server(config)


class _Seldom(logging.Filter):
    """Lets one warning pass a minute: whoever can connect could fill a disk."""

    def __init__(self) -> None:
        super().__init__()
        self._again = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno > logging.WARNING:
            return True
        now = time.monotonic()
        if now < self._again:
            return False
        self._again = now + SELDOM
        return True


def _seldom() -> logging.Logger:
    logger = logging.getLogger("oneiric.serving.connections")
    if not any(isinstance(each, _Seldom) for each in logger.filters):
        logger.addFilter(_Seldom())
    return logger
