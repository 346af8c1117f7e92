"""Leases: how a generation is used, from any thread, without a lock.

A lease enters itself into the generation's set, and then reads the slot again.  If the slot has changed meanwhile it
withdraws, and tries the new one.  Whoever retires a generation reads its set only after the switch.  So a lease that
was handed out is always in the set that is read.
"""

from __future__ import annotations

import asyncio
import threading
import traceback
import warnings
from asyncio import _get_running_loop, current_task
from threading import get_ident
from types import TracebackType
from typing import Any

from oneiric_hookspecs import Draining, Empty, Key, WrongThread

from .generation import Generation
from .slot import Slot, Switch


class Lease:
    """One use of one generation: ``with runtime.lease("adapter", "cache") as cache``.

    Attributes:
        generation: What is leased.
        holder: The task or thread that entered it, for the report if it holds on for too long; None while nobody
            has it.
    """

    __slots__ = ("_slot", "generation", "holder")

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self.holder: Any = None

    def __enter__(self) -> Any:
        if self.holder is not None:
            # The first who gave it back would give it back for all.
            raise RuntimeError(
                f"a lease of {self._slot.key} is held once at a time; share its handle(), and lease by that"
            )
        slot = self._slot
        while True:
            found = slot.current
            generation = found if found.__class__ is Generation else slot.serving()
            generation.leases.add(self)
            if slot.current is generation or (slot.current.__class__ is Switch and slot.bound is generation):
                break
            self._withdraw(generation)
        self.generation: Generation = generation
        # None in a thread without one, and on the loop's own while it does not run.
        loop = _get_running_loop()
        self.holder = get_ident() if loop is None else current_task(loop) or get_ident()
        return generation.instance

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        generation = self.generation
        self.holder = None
        if kind is None:
            generation.ended += 1
        elif issubclass(kind, Exception):
            generation.ended += 1
            generation.spoil()
        leases = generation.leases
        leases.discard(self)
        if generation.watched and not leases:
            generation.wake()

    def _withdraw(self, generation: Generation) -> None:
        generation.leases.discard(self)
        if generation.watched and not generation.leases:
            generation.wake()

    @property
    def slot(self) -> Slot:
        """Where it leases."""
        return self._slot

    @property
    def retiring(self) -> bool:
        """Whether what is leased is about to go: a long user should finish, and lease again."""
        return self.generation.retiring or self.generation.leaving

    async def until_retiring(self) -> None:
        """Wait until what is leased is about to go.  On the runtime's loop."""
        self._check_thread("until_retiring")
        await self.generation.goodbye.wait()

    def _check_thread(self, what: str) -> None:
        if get_ident() != self._slot.thread:
            raise WrongThread(
                f"{what} belongs on the loop on which the runtime was entered",
                hint="from another thread: runtime.blocking.use, or runtime.lease of what is bound",
            )

    @property
    def held_by(self) -> str:
        """The name of the task or thread that holds it."""
        holder = self.holder
        if isinstance(holder, asyncio.Task):
            return f"task {holder.get_name()}"
        name = next((thread.name for thread in threading.enumerate() if thread.ident == holder), None)
        return f"thread {name or holder}"


class Use(Lease):
    """A lease that activates if nothing is bound: ``async with runtime.use("adapter", "cache") as cache``."""

    __slots__ = ()

    async def __aenter__(self) -> Any:
        if get_ident() != self._slot.thread:
            self._check_thread("use")
        slot = self._slot
        while True:
            if slot.current.__class__ is not Generation:
                await slot.ensure(slot)
            try:
                return self.__enter__()
            except (Empty, Draining):
                slot.refuse()
                # Gone again between the two lines; ``ensure`` raises if there is no point in going on.
                continue

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


class Handle:
    """A factory of leases on one slot, to be kept and shared by tasks and threads.

    ``with handle() as cache`` leases what is bound then; each ``with`` has a lease of its own.
    """

    __slots__ = ("_make", "_slot", "_use")

    def __init__(self, slot: Slot, *, traced: bool = False) -> None:
        self._slot = slot
        self._make: type[Lease] = TracedLease if traced else Lease
        self._use: type[Use] = TracedUse if traced else Use

    def __call__(self) -> Lease:
        return self._make(self._slot)

    def use(self) -> Use:
        """A lease that activates if nothing is bound; ``async with handle.use() as cache``, on the runtime's loop."""
        return self._use(self._slot)

    @property
    def key(self) -> Key:
        """What it leases."""
        return self._slot.key

    def __repr__(self) -> str:
        return f"<handle of {self._slot.key}>"


class _Hold:
    """Stands for a traced lease in the set, so that the set does not keep the lease itself alive."""

    __slots__ = ("held_by",)

    def __init__(self, held_by: str) -> None:
        self.held_by = held_by


class TracedLease(Lease):
    """A lease that remembers where it was entered, and complains when it is garbage collected while held."""

    __slots__ = ("_hold", "_stack")

    def __enter__(self) -> Any:
        instance = super().__enter__()
        self._stack = "".join(traceback.format_stack(limit=12)[:-1])
        self._hold = _Hold(f"{self.held_by}, entered at\n{self._stack}")
        # In this order the set is never empty in between, and the drainer never thinks that nobody is there.
        self.generation.leases.add(self._hold)
        self.generation.leases.discard(self)
        return instance

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        hold, self._hold = self._hold, None  # type: ignore[assignment]
        self.generation.leases.discard(hold)
        super().__exit__(kind, error, trace)

    def __del__(self) -> None:
        hold = getattr(self, "_hold", None)
        if hold is not None:
            self.generation.leases.discard(hold)
            if self.generation.watched and not self.generation.leases:
                self.generation.wake()
            warnings.warn(
                f"a lease of {self._slot.key} was never given back; it was entered at\n{self._stack}",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )


class TracedUse(TracedLease, Use):
    """The same for a lease that activates."""

    __slots__ = ()
