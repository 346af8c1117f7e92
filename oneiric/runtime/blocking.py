"""The runtime for scripts and threads: the same core, waited for instead of awaited.

In a script, with a loop in a thread of its own::

    with assemble("oneiric.toml").blocking as runtime:
        runtime.swap("adapter", "cache", "disk")
        with runtime.use("adapter", "cache") as cache:
            runtime.run(cache.set("greeting", b"hello"))

In a thread of an application whose loop has the runtime: ``runtime.blocking.swap(...)``, without ``with``.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator, Mapping
from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from oneiric_hookspecs import CloseReport, Health, OneiricError, RuntimeClosing, SwapReport, WrongThread

if TYPE_CHECKING:
    from oneiric.activation import Handle, Lease, Slot
    from oneiric.settings import Settings

    from .core import Runtime
    from .status import Status

T = TypeVar("T")


class Blocking:
    """A runtime whose methods wait.  From any thread but the loop's.

    Attributes:
        runtime: The runtime; what may be called from any thread is called there: ``runtime.explain(...)``.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._thread: threading.Thread | None = None
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: BaseException | CloseReport | None = None

    # --- a loop of its own -------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        """Start the runtime on a loop in a thread of its own."""
        ready = threading.Event()
        # A daemon: a script that dies without leaving the block must not hang at its end.
        self._thread = threading.Thread(target=self._serve, args=(ready,), name="oneiric-loop", daemon=True)
        self._thread.start()
        ready.wait()
        if isinstance(self._ended, BaseException):
            self._thread.join()
            raise self._ended
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None and self._stop is not None and self._thread is not None
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if isinstance(self._ended, BaseException):
            raise self._ended

    def _serve(self, ready: threading.Event) -> None:
        async def serve() -> CloseReport:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            await self.runtime.start()
            ready.set()
            await self._stop.wait()
            return await self.runtime.close()

        try:
            self._ended = asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that entered
            self._ended = error
        finally:
            ready.set()

    @property
    def closed(self) -> CloseReport | None:
        """What came of closing, after the block."""
        return self._ended if isinstance(self._ended, CloseReport) else None

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run *coroutine* on the runtime's loop, and wait for what it gives.

        Raises:
            RuntimeClosing: The runtime does not run.
            WrongThread: This is the loop's own thread, which would wait for itself.
        """
        try:
            engine = self.runtime._running("blocking")
            if get_ident() == engine.thread:
                raise WrongThread(
                    "runtime.blocking was called on the runtime's own loop, which would wait for itself",
                    hint="await the runtime's method instead",
                )
            future = asyncio.run_coroutine_threadsafe(coroutine, engine.loop)
        except OneiricError:
            coroutine.close()
            raise
        except RuntimeError as error:
            coroutine.close()
            raise RuntimeClosing("the loop of the runtime is closed") from error
        try:
            return future.result()
        except BaseException:
            future.cancel()  # an interrupt of this thread is one of what it waits for
            raise

    # --- the runtime's methods -----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def use(self, domain: str, name: str) -> Iterator[Any]:
        """Activate if nothing is bound, and lease."""
        use = self.runtime.use(domain, name)
        slot = use.slot
        lease = self.runtime.lease(domain, name)
        if slot.bound is None:
            self.run(self._ensure(slot))
        with lease as instance:
            yield instance

    async def _ensure(self, slot: Slot) -> None:
        await slot.ensure(slot)

    def lease(self, domain: str, name: str) -> Lease:
        """Lease what is bound."""
        return self.runtime.lease(domain, name)

    def handle(self, domain: str, name: str) -> Handle:
        """A factory of leases."""
        return self.runtime.handle(domain, name)

    def swap(self, domain: str, name: str, provider: str | None = None, **options: Any) -> SwapReport:
        """As ``Runtime.swap``."""
        return self.run(self.runtime.swap(domain, name, provider, **options))

    def rollback(self, domain: str, name: str, *, actor: str = "") -> SwapReport:
        """As ``Runtime.rollback``."""
        return self.run(self.runtime.rollback(domain, name, actor=actor))

    def apply(self, settings: Settings | Mapping[str, Any] | str) -> list[SwapReport | OneiricError]:
        """As ``Runtime.apply``."""
        return self.run(self.runtime.apply(settings))

    def health(self, domain: str, name: str) -> Health:
        """As ``Runtime.health``."""
        return self.run(self.runtime.health(domain, name))

    def status(self) -> Status:
        """As ``Runtime.status``."""
        return self.runtime.status()

    def spawn(self, coroutine: Coroutine[Any, Any, Any], *, name: str) -> None:
        """As ``Runtime.spawn``; the task is in the status."""

        async def spawn() -> None:
            self.runtime.spawn(coroutine, name=name)

        self.run(spawn())

    def close(self) -> CloseReport:
        """As ``Runtime.close``."""
        return self.run(self.runtime.close())

    @contextlib.contextmanager
    def transaction(self, *, actor: str = "") -> Iterator[Any]:
        """As ``Runtime.transaction``."""

        async def begin() -> Any:
            return self.runtime.transaction(actor=actor)

        changes = self.run(begin())
        yield changes
        self.run(changes.__aexit__(None, None, None))
