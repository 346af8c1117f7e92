"""The runtime: what is registered, what is decided, what runs; and how to use and change it."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from oneiric_hookspecs import (
    Breaker,
    Generation,
    Health,
    Key,
    NothingToCall,
    OneiricError,
    Retry,
    RuntimeClosing,
)

from .changing import Changing
from .work import Group, Task

if TYPE_CHECKING:
    from oneiric.activation import Handle, Lease, Use
    from oneiric.remote import Remote

    from .blocking import Blocking
    from .status import Status

T = TypeVar("T")


class Runtime(Changing):
    """Parts of an application that can be explained, swapped and rolled back while it runs.

    Made by ``assemble``; used as an async context manager::

        async with assemble("oneiric.toml") as runtime:
            async with runtime.use("adapter", "cache") as cache:
                await cache.set("greeting", b"hello")

    ``register withdraw resolve explain what_if plan lease handle bound status`` may be called from any thread.  All
    else belongs on the loop on which the runtime was entered, or goes through ``runtime.blocking``.

    Args:
        hooks: The plugins, loaded.
        registry: The candidates, collected.
        settings: Validated, and bound to the domains.
        clock: The clock that plugins were given.
    """

    #: Whether it runs for one command only: what goes on by itself is not begun in it.
    brief: bool = False
    _blocking: Blocking | None = None

    # --- using -----------------------------------------------------------------------------------------------------

    def use(self, domain: str, name: str) -> Use:
        """Activate if nothing is bound, and lease: ``async with runtime.use("adapter", "cache") as cache``.

        Raises:
            OneiricError: When it is entered: why nothing is bound.
        """
        engine = self._engine
        if engine is None:
            engine = self.engine("use")
        slot = engine.slots.get((domain, name))
        if slot is None:
            slot = self._known(engine, domain, name)
        return engine.new_use(slot)

    def lease(self, domain: str, name: str) -> Lease:
        """Lease what is bound, from any thread: ``with runtime.lease("adapter", "cache") as cache``.

        Raises:
            NotServing: When it is entered: nothing is bound, or nobody may come in.
        """
        engine = self._engine
        if engine is None:
            engine = self.engine("lease")
        slot = engine.slots.get((domain, name))
        if slot is None:
            slot = self._known(engine, domain, name)
        return engine.new_lease(slot)

    def handle(self, domain: str, name: str) -> Handle:
        """Make a factory of leases, which tasks and threads keep and share.

        ``with handle() as cache`` leases what is bound then.
        """
        engine = self._engine
        if engine is None:
            engine = self.engine("handle")
        return engine.handle(Key.of(domain, name))

    # --- calling ---------------------------------------------------------------------------------------------------

    async def call(self, domain: str, name: str, payload: Any = None) -> Any:
        """Call a part, as its domain says: run the task, invoke the action.

        Args:
            domain: One that has something to call.
            name: The part's.
            payload: Plain data, as is what comes back.
        Raises:
            NothingToCall: The parts of the domain are used, not called.
            OneiricError: As the domain says.
        """
        self.on_loop(self.engine("call"), "call")
        found = self._domain(domain)
        if found.call is None:
            raise NothingToCall(
                f"there is nothing to call in {domain} {name}", hint="it is used: runtime.use(...)"
            )
        return await found.call(self, name, payload)

    def domain(self, name: str) -> Any:
        """The typed interface of a domain: ``runtime.domain("action").invoke(...)``.

        Raises:
            NothingToCall: The domain has none, or there is no such domain.
        """
        found = self._domain(name)
        if found.face is None:
            raise NothingToCall(f"the domain {name} has no interface of its own", hint="runtime.use(...)")
        face = self._faces.get(found.name)
        if face is None or face[0] is not found.face:
            face = self._faces[found.name] = (found.face, found.face(self))
        return face[1]

    async def attempt(
        self,
        call: Callable[[], Awaitable[T]],
        *,
        name: str,
        retry: Retry | None = None,
        breaker: Breaker | None = None,
    ) -> T:
        """Await ``call()``, again where it fails and *retry* allows; see ``Host.attempt``."""
        self.on_loop(self.engine("attempt"), "attempt")
        return await self.attempts.attempt(call, name=name, retry=retry, breaker=breaker)

    @functools.cached_property
    def remote(self) -> Remote:
        """The streams of ``[remote]``: synced when somebody asks, or again and again from ``remote.start()`` on."""
        from oneiric.remote import Remote

        remote = Remote(lambda: self._settings, self.hooks, self.registry, self)
        self._last_things.append(remote.close)
        return remote

    async def in_thread(self, call: Callable[[], T], *, name: str) -> T:
        """Call *call* in a thread of the runtime, and wait for what it gives, or raises.

        A waiter that is cancelled goes on at once; the call ends by itself.

        Args:
            call: What is called.
            name: The thread's, as in status.
        Raises:
            TooManyHung: Too many earlier calls never came back.
        """
        self.on_loop(self.engine("in_thread"), "in_thread")
        assert self._works is not None
        result: T = await self._works.threads.run(call, name=name)
        return result

    # --- looking ---------------------------------------------------------------------------------------------------

    def status(self, *, slots: bool = True) -> Status:
        """What runs, since when, and what is wanted and not so yet; probes nothing.

        Args:
            slots: Whether to tell of each part, which takes a while where there are thousands.
        """
        from .status import Status, of_slot

        engine = self._engine
        if engine is None or self._works is None:
            return Status(self._state)
        now = self._clock.time()
        return Status(
            self._state,
            tuple(of_slot(engine.slots[key], now) for key in sorted(engine.slots)) if slots else (),
            tuple(repr(each) for each in engine.operations.under_way),
            self._works.names,
            (*engine.threads.outstanding, *self._works.threads.outstanding),
            self.attempts.status(),
        )

    def bound(self, domain: str, name: str) -> Generation | None:
        """What serves now; None where nothing does.  From any thread; nothing is activated, leased or asked."""
        slot = self.engine("bound").slots.get((domain, name))
        found = None if slot is None else slot.bound
        return None if found is None else found.view()

    async def health(self, domain: str, name: str) -> Health:
        """Ask what is bound for its readiness, now.

        Raises:
            NotServing: Nothing is bound.
        """
        engine = self.on_loop(self.engine("health"), "health")
        slot = self._known(engine, domain, name)
        generation = slot.bound or slot.serving()  # paused or not, it can be asked
        return await engine.prober.probe(generation, "readiness", generation.limits.confirm_timeout)

    # --- work of one's own -----------------------------------------------------------------------------------------

    def spawn(self, coroutine: Coroutine[Any, Any, Any], *, name: str) -> Task:
        """Start a task that the runtime owns: in status, reported if it fails, cancelled and awaited at close."""
        try:
            self.on_loop(self.engine("spawn"), "spawn")
            if self._state != "running" or self._works is None:
                raise RuntimeClosing("spawn: the runtime is closing")
        except OneiricError:
            coroutine.close()
            raise
        return self._works.spawn(coroutine, name)

    def tasks(self) -> Group:
        """Several tasks that end together: ``async with runtime.tasks() as group: group.spawn(..., name=...)``."""
        self.on_loop(self.engine("tasks"), "tasks")
        assert self._works is not None
        return Group(self._works, self._settings.lifecycle.cancel_grace)

    @property
    def blocking(self) -> Blocking:
        """The same for scripts and threads, which wait where a coroutine would await."""
        if self._blocking is None:
            from .blocking import Blocking

            self._blocking = Blocking(self)
        return self._blocking
