"""From the first connection to the last."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import math
import socket
from collections.abc import AsyncIterator, Callable, Iterable

from oneiric_hookspecs import OneiricError

from .application import SECONDS, Application, Served
from .asking import Declared
from .places import At, BadAddress, is_loopback

log = logging.getLogger("oneiric.serving")

#: Connections at a time; and seconds for a request to come, and for an answer to be taken.
MOST, ASKING, TAKING = 128, 10.0, 30.0
#: Seconds that requests have at the end.
GRACE = 3.0


class NoServer(OneiricError):
    """The library is not installed that speaks HTTP."""

    exit_code = 3


class AddressTaken(OneiricError):
    """The system does not let this process listen there: somebody else does, or it may not."""

    exit_code = 4


@contextlib.asynccontextmanager
async def listening(
    host: str,
    port: int,
    served: Served,
    routes: Iterable[Declared] = (),
    *,
    masked: Callable[[str], str] = str,
    seconds: float = SECONDS,
    grace: float = GRACE,
    asking: float = ASKING,
    most: int = MOST,
) -> AsyncIterator[At]:
    """Serve while the block runs, on the loop that runs.

    Signals and logging stay as they are.  At the end no more connections are taken; requests that are being answered
    have *grace* seconds.

    Args:
        host: A name or an address, without brackets.  At one of this machine, only who asks for this machine is
            answered.
        port: 0 for a free one.
        served: What is asked for health and status: an ``Orchestrator``.
        routes: What plugins declare, with their names: ``hooks[specs.oneiric_routes].answers()``.
        masked: Takes the secrets out of a text.
        seconds: How long a route may take.
        grace: How long requests have at the end.
        asking: Seconds in which a request has come.
        most: Connections at a time.
    Yields:
        Where it listens.
    Raises:
        NoServer: The library for it is not installed.
        BadAddress: There is no such host.
        AddressTaken: It cannot listen there.
    """
    try:
        from . import wire
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("uvicorn", "h11"):
            raise
        raise NoServer("serving HTTP needs uvicorn", hint='pip install "oneiric[serve]"') from None
    listener = await _bound(host, port)
    at = At(*listener.getsockname()[:2])
    local = is_loopback(at.host)
    if not local:
        log.warning("%s is reached from other machines: whoever does reads health, status and routes", at)
    application = Application(served, routes, masked=masked, local=local, seconds=seconds)
    crowd = wire.Crowd(most, asking, seconds + TAKING)
    server = wire.server(application, crowd, math.ceil(grace) + 2)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="oneiric-serving")
    try:
        up = asyncio.ensure_future(server.up.wait())
        try:
            await asyncio.wait({task, up}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            up.cancel()
        if task.done():
            task.result()
        yield At(host if local and port and host else at.host, at.port)
    finally:
        server.stop()
        loop = asyncio.get_running_loop()
        timers = [loop.call_later(grace, application.hurry), loop.call_later(grace + 0.5, crowd.abort)]
        try:
            await asyncio.wait({task})
        finally:
            for timer in timers:
                timer.cancel()
            crowd.abort()
            listener.close()
            if not task.done():
                task.cancel()
    task.result()


async def _bound(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise BadAddress(f"there is no host {host!r} to listen at") from None
    family, _, _, _, where = found[0]
    both = where[0] == "::" and socket.has_dualstack_ipv6()
    try:
        listener = socket.create_server(where[:2], family=family, backlog=128, dualstack_ipv6=both)
    except OSError as error:
        at = At(host, port)
        if error.errno == errno.EADDRINUSE:
            raise AddressTaken(
                f"somebody listens at {at} already", hint="take another port, or 0 for a free one"
            ) from None
        said = errno.errorcode.get(error.errno or 0, "OSError")
        reason = {"EACCES": "it is not permitted", "EADDRNOTAVAIL": "it is no address of this machine"}.get(
            said, said
        )
        raise AddressTaken(f"this process cannot listen at {at}: {reason}") from None
    listener.setblocking(False)
    return listener
