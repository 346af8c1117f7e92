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
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import CancelledError
from functools import partial
from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from oneiric_hookspecs import (
    Activity,
    CloseReport,
    Draining,
    DrainReport,
    Empty,
    Health,
    Key,
    OneiricError,
    RuntimeClosing,
    SwapReport,
    WrongThread,
)

if TYPE_CHECKING:
    from oneiric.activation import Handle, Lease, Slot
    from oneiric.hooks import PluginRecord
    from oneiric.settings import SettingsSource
    from oneiric.swap import Engine

    from .core import Runtime
    from .status import Status

T = TypeVar("T")

#: How often a thread that waits looks whether the loop is still there, in seconds: a loop that was closed with
#: something unfinished on it tells nobody.
_LOOK = 1.0


class _Alone:
    """A loop in a thread of its own, on which the runtime lives."""

    def __init__(self, runtime: Runtime) -> None:
        self.report: CloseReport | None = None
        self._runtime = runtime
        self._error: BaseException | None = None
        self._ready = threading.Event()
        self._over = threading.Event()
        self._wake: Callable[[], object] | None = None
        # A daemon: a script that dies without leaving the block must not hang at its end.
        self._thread = threading.Thread(target=self._serve, name="oneiric-loop", daemon=True)

    def begin(self) -> None:
        """Start the runtime; what that raises."""
        self._thread.start()
        try:
            self._ready.wait()
        except BaseException:
            self.end()
            raise
        if self._error is not None:
            self._thread.join()
            raise self._error

    def end(self) -> None:
        """Close the runtime, and wait until the thread has ended; what that raises."""
        self._over.set()
        if (wake := self._wake) is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                wake()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _serve(self) -> None:
        async def serve() -> CloseReport:
            stop = asyncio.Event()
            self._wake = partial(asyncio.get_running_loop().call_soon_threadsafe, stop.set)
            async with self._runtime:
                self._ready.set()
                # Looked at after there was a way to wake: who said so before that woke nobody.
                if not self._over.is_set():
                    await stop.wait()
            return await self._runtime.close()

        try:
            self.report = asyncio.run(serve())
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()


class Blocking:
    """A runtime whose methods wait.  From any thread but the loop's.

    Attributes:
        runtime: The runtime; what may be called from any thread is called there: ``runtime.explain(...)``.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._alone: _Alone | None = None

    # --- a loop of its own -------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        """Start the runtime on a loop in a thread of its own.

        Raises:
            RuntimeClosing: It was started before; a runtime lives once.
        """
        alone = _Alone(self.runtime)
        alone.begin()
        self._alone = alone
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._alone is not None
        self._alone.end()

    @property
    def closed(self) -> CloseReport | None:
        """What came of closing, after the block."""
        return None if self._alone is None else self._alone.report

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run *coroutine* on the runtime's loop, and wait for what it gives.

        Raises:
            RuntimeClosing: The runtime does not run, or ends before the coroutine does.
            WrongThread: This is the loop's own thread, which would wait for itself.
        """
        try:
            engine = self._elsewhere()
            future = asyncio.run_coroutine_threadsafe(coroutine, engine.loop)
        except OneiricError:
            coroutine.close()
            raise
        except RuntimeError as error:
            coroutine.close()
            raise RuntimeClosing("the loop of the runtime is closed") from error
        try:
            while True:
                try:
                    return future.result(_LOOK)
                except TimeoutError:
                    if future.done():
                        raise  # its own
                    if engine.loop.is_closed():
                        raise RuntimeClosing("the loop of the runtime was closed meanwhile") from None
        except CancelledError as error:
            if self.runtime.running:
                raise
            raise RuntimeClosing("the runtime was closed meanwhile") from error
        except BaseException:
            future.cancel()  # an interrupt of this thread is one of what it waits for
            raise

    def _elsewhere(self) -> Engine:
        engine = self.runtime.engine("blocking")
        if get_ident() == engine.thread:
            raise WrongThread(
                "runtime.blocking was called on the runtime's own loop, which would wait for itself",
                hint="await the runtime's method instead",
            )
        return engine

    async def _call(self, call: Callable[[], T]) -> T:
        return call()

    # --- the runtime's methods -----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def use(self, domain: str, name: str) -> Iterator[Any]:
        """Activate if nothing is bound, and lease."""
        lease = self.runtime.lease(domain, name)
        if self.runtime.running:
            self._elsewhere()
        with contextlib.ExitStack() as stack:
            while True:
                try:
                    instance = stack.enter_context(lease)
                    break
                except (Empty, Draining):
                    # ``ensure`` raises if there is no point in going on.
                    self.run(self._ensure(lease.slot))
            yield instance  # type: ignore[possibly-undefined]  # the loop ends with it, or raises

    async def _ensure(self, slot: Slot) -> None:
        slot.refuse()  # what an operator imposed is not waited for
        await slot.ensure(slot)

    def lease(self, domain: str, name: str) -> Lease:
        """Lease what is bound."""
        return self.runtime.lease(domain, name)

    def handle(self, domain: str, name: str) -> Handle:
        """A factory of leases."""
        return self.runtime.handle(domain, name)

    def call(self, domain: str, name: str, payload: Any = None) -> Any:
        """As ``Runtime.call``."""
        return self.run(self.runtime.call(domain, name, payload))

    def swap(self, domain: str, name: str, provider: str | None = None, **options: Any) -> SwapReport:
        """As ``Runtime.swap``."""
        return self.run(self.runtime.swap(domain, name, provider, **options))

    def rollback(self, domain: str, name: str, **options: Any) -> SwapReport:
        """As ``Runtime.rollback``."""
        return self.run(self.runtime.rollback(domain, name, **options))

    def apply(self, settings: SettingsSource) -> list[SwapReport | OneiricError]:
        """As ``Runtime.apply``."""
        return self.run(self.runtime.apply(settings))

    def pin(self, domain: str, name: str, provider: str | None = None) -> None:
        """As ``Runtime.pin``."""
        self.run(self._call(partial(self.runtime.pin, domain, name, provider)))

    def unpin(self, domain: str, name: str) -> None:
        """As ``Runtime.unpin``."""
        self.run(self._call(partial(self.runtime.unpin, domain, name)))

    def plug(
        self, plugin: Any, name: str | None = None, *, settings: Mapping[str, Any] | None = None
    ) -> PluginRecord:
        """As ``Runtime.plug``."""
        return self.run(self._call(partial(self.runtime.plug, plugin, name, settings=settings)))

    def unplug(self, name: str) -> PluginRecord:
        """As ``Runtime.unplug``."""
        return self.run(self._call(partial(self.runtime.unplug, name)))

    def hold(self, domain: str, name: str | None = None, **options: Any) -> None:
        """As ``Runtime.hold``."""
        self.run(self.runtime.hold(domain, name, **options))

    def pause(self, domain: str, name: str | None = None, **options: Any) -> None:
        """As ``Runtime.pause``."""
        self.run(self.runtime.pause(domain, name, **options))

    def drain(self, domain: str, name: str | None = None, **options: Any) -> list[DrainReport]:
        """As ``Runtime.drain``."""
        return self.run(self.runtime.drain(domain, name, **options))

    def resume(self, domain: str, name: str | None = None, *, actor: str = "") -> None:
        """As ``Runtime.resume``."""
        self.run(self.runtime.resume(domain, name, actor=actor))

    def note(self, domain: str, name: str | None, text: str, *, actor: str = "") -> None:
        """As ``Runtime.note``."""
        self.run(self.runtime.note(domain, name, text, actor=actor))

    def activity(self) -> dict[Key, Activity]:
        """As ``Runtime.activity``."""
        return self.runtime.activity()

    def health(self, domain: str, name: str) -> Health:
        """As ``Runtime.health``."""
        return self.run(self.runtime.health(domain, name))

    def status(self) -> Status:
        """As ``Runtime.status``."""
        return self.runtime.status()

    def spawn(self, coroutine: Coroutine[Any, Any, Any], *, name: str) -> None:
        """As ``Runtime.spawn``; the task is in the status."""
        taken = False

        async def spawn() -> None:
            nonlocal taken
            taken = True
            self.runtime.spawn(coroutine, name=name)

        try:
            self.run(spawn())
        finally:
            if not taken:
                coroutine.close()

    def close(self) -> CloseReport:
        """As ``Runtime.close``."""
        closing = self.runtime.closing
        if closing is not None and closing.done():
            return closing.result()
        return self.run(self.runtime.close())

    @contextlib.contextmanager
    def transaction(self, *, actor: str = "") -> Iterator[Any]:
        """As ``Runtime.transaction``."""
        changes = self.run(self._call(partial(self.runtime.transaction, actor=actor)))
        yield changes
        self.run(changes.__aexit__(None, None, None))
