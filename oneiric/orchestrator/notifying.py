"""What a service manager is told: that the process is ready, that it lives, what it does.

The protocol of ``sd_notify``: datagrams to the socket that ``NOTIFY_SOCKET`` names.  Without it nothing is sent.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Self

log = logging.getLogger("oneiric.orchestrator")

_SOCKET, _WATCHDOG, _WHOSE = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"


class Notifier:
    """Tells the service manager; nothing that goes wrong in that is raised.

    While its block runs, ``WATCHDOG=1`` is sent at half of the time that the manager waits for it: by a task of the
    loop, so that a loop that does not turn any more sends none, and is ended.

    Args:
        environ: Where the manager says how it is told; None is the process's environment.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        self._address = _address(environ.get(_SOCKET, ""))
        self._every = _half(environ) if self._address else None
        self._task: asyncio.Task[None] | None = None
        self._failed = False

    @property
    def told(self) -> bool:
        """Whether there is somebody to tell."""
        return self._address is not None

    async def __aenter__(self) -> Self:
        if self._every is not None:
            self._task = asyncio.create_task(self._live(self._every), name="tell the service manager")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def ready(self, status: str = "") -> None:
        """It is up; or it has taken other settings."""
        self._send("READY=1", *([_status(status)] if status else []))

    def reloading(self) -> None:
        """It begins to take other settings; ``ready`` says that it has."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def around(self, reload: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
        """*reload*, with the manager told that it begins, and that it is over, however it went."""

        async def told() -> None:
            self.reloading()
            try:
                await reload()
            finally:
                self.ready()

        return told

    def stopping(self) -> None:
        """It begins to end."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """What it does, in a line."""
        self._send(_status(text))

    async def _live(self, every: float) -> None:
        while True:
            self._send("WATCHDOG=1")
            await asyncio.sleep(every)

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        try:
            # One for each: a manager that was started anew has another socket under the name.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.setblocking(False)
                channel.sendto("\n".join(lines).encode(), self._address)
        except (OSError, ValueError) as error:
            if not self._failed:
                self._failed = True
                log.warning("the service manager cannot be told anything: %s", error)


def _address(said: str) -> str | None:
    if not said.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
        return None
    return f"\0{said[1:]}" if said.startswith("@") else said  # of the abstract ones, which are no files


def _half(environ: Mapping[str, str]) -> float | None:
    """Seconds between two signs of life; None where nobody waits for one of this process."""
    said, whose = environ.get(_WATCHDOG, ""), environ.get(_WHOSE, "")
    if not said.isdecimal() or int(said) == 0 or (whose and whose != str(os.getpid())):
        return None
    return int(said) / 2_000_000


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.split())}"
