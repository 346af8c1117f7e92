"""Services: what the application offers, with a life of its own."""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import attrs

ServiceState = Literal["running", "stopped", "failed", "not_bound"]


@runtime_checkable
class Startable(Protocol):
    """A service that works by itself between two calls: it starts a server, a thread, a consumer."""

    def start(self) -> Any:
        """Begin to work, and return when it does; sync (in a thread) or async.  What it raises is why it is not up."""

    def stop(self) -> Any:
        """Finish, and let go of everything; sync (in a thread) or async."""


@runtime_checkable
class Runnable(Protocol):
    """A service that works for as long as its ``run()`` does.

    Where it has a ``start()`` too, that is called before.  Where it has a ``stop()``, that asks ``run()`` to end, and
    is called on the loop; without one, ``run()`` is cancelled.
    """

    async def run(self) -> Any:
        """Work until asked to end; ending before that is a failure of the service, and so is what it raises."""


#: What fills a key of the domain ``service``: one or the other, or both.  Each may have ``status()``, sync or async,
#: which gives plain data about what it does.
Service: TypeAlias = Startable | Runnable


@attrs.frozen
class ServiceStatus:
    """How one service is.

    Args:
        name: Its name in the domain.
        provider: Who fills it; of one that has never been bound, who would; None where nobody would.
        state: ``running``; ``failed``: its ``run()`` has ended by itself, or it did not come up; ``stopped``: it ran
            here, and was asked to end; ``not_bound``: nobody has asked for it.
        since: When that began, in seconds on the runtime's clock; None where nothing has begun.
        error: What is wrong, in a sentence; empty where nothing is.
        report: What its own ``status()`` gave, plain data; None where it has none, or does not run.
    """

    name: str
    provider: str | None
    state: ServiceState
    since: float | None = None
    error: str = ""
    report: Any = None
