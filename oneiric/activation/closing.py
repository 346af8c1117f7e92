"""How generations end: users leave, the product is closed, once, and whatever does not end is named.

All of it runs in tasks of the runtime that nobody else can cancel.  A product is closed by the first of: the
candidate's ``close``; leaving the context it was entered in; ``aclose close cleanup shutdown stop``.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from oneiric_hookspecs import Retirement

from oneiric.hooks.faults import said
from oneiric.tasks import Tasks, give_up

from .generation import Generation
from .holding import CLOSE_METHODS, Holding, Owners, method
from .products import is_async
from .threads import Resident, Threads

Told = Callable[[Retirement], None]


class Closing:
    """Ends generations.

    Args:
        tasks: Where closing runs.
        threads: For synchronous closes.
        owners: Who owns what was made.
    """

    def __init__(self, tasks: Tasks, threads: Threads, owners: Owners) -> None:
        self._tasks, self._threads, self._owners = tasks, threads, owners
        self._time = tasks.loop.time

    def retire(self, generation: Generation, told: Told, *, bounded: bool = False) -> None:
        """Let the users of *generation* finish, and close it; at once if it was never bound.

        Returns at once; ``generation.gone`` is done when it has ended.  A second call does nothing.

        Args:
            generation: Not bound, or not any more.
            told: Called with how it ended.
            bounded: Whether generations built from it are kept waiting no longer than users are.
        """
        if bounded:
            generation.hurry = True
            generation.wake()
        if generation.gone is not None:
            return
        generation.gone = self._tasks.loop.create_future()
        if generation.state in ("creating", "starting"):
            generation.doomed = True
        generation.begin_retiring()
        holding = generation.holding
        if holding is not None and self._nothing_to_close(generation, holding):
            generation.holding = None
            self._owners.leave(holding)
            self._end(
                generation, Retirement(generation.key, generation.provider, generation.number, "closed"), told
            )
        else:
            self._tasks.start(self._retire(generation, told), f"retire {generation!r}")

    def _nothing_to_close(self, generation: Generation, holding: Holding) -> bool:
        """Whether nobody uses it and closing it would call nothing: a plain product, all its own, fully made."""
        candidate = generation.candidate
        if (
            generation.leases
            or generation.dependents
            or holding.entered
            or holding.around is not None
            or holding.owners > 1
            or generation.threaded
        ):
            return False
        if (
            generation.probing is not None
            or generation.host is None
            or not generation.host.done()
            or not candidate.own
            or candidate.close is not None
        ):
            return False
        return method(holding.product, CLOSE_METHODS) is None

    def _end(self, generation: Generation, retirement: Retirement, told: Told) -> None:
        generation.enter("closed" if retirement.ending == "kept" else retirement.ending)
        for need in generation.needs:
            need.give_back(generation)
        generation.needs.clear()
        # Through its task it holds the operation that made it, whose report holds the one before: a chain without end.
        generation.host = None
        assert generation.gone is not None
        generation.gone.set_result(retirement)
        told(retirement)

    async def _retire(self, generation: Generation, told: Told) -> None:
        began = self._time()
        holders = await self._drain(generation)
        gone = self._time()
        try:
            ending, error = await self._close(generation)
        except Exception as raised:
            ending, error = "close_failed", said(raised)
        self._end(
            generation,
            Retirement(
                generation.key,
                generation.provider,
                generation.number,
                ending,  # type: ignore[arg-type]
                forced=len(holders),
                holders=holders,
                drained_ms=(gone - began) * 1000,
                error=error,
                closed_ms=(self._time() - gone) * 1000,
            ),
            told,
        )

    async def _drain(self, generation: Generation) -> tuple[str, ...]:
        """Wait for users until the drain timeout, and for dependents for as long as they need; who is left."""
        deadline = self._time() + generation.limits.drain_timeout
        while generation.leases or generation.dependents:
            first = deadline if generation.deadline is None else min(deadline, generation.deadline)
            left = first - self._time()
            if left <= 0 and (generation.hurry or not generation.dependents):
                break
            if generation.hurry and not generation.leases and all(map(_stays, generation.dependents)):
                break  # they would have it for as long as they serve
            generation.wakeup = self._tasks.loop.create_future()
            # A lease given back before the future was made woke nobody.
            if generation.leases or generation.dependents:
                bounded = generation.leases or generation.hurry
                await asyncio.wait({generation.wakeup}, timeout=left if bounded and left > 0 else None)
        holders = [lease.held_by for lease in tuple(generation.leases)]
        holders += [f"{each.key}, which was built from it" for each in generation.dependents]
        return tuple(sorted(holders))

    async def _close(self, generation: Generation) -> tuple[str, str]:
        generation.enter("closing")
        grace = generation.limits.cancel_grace
        if generation.probing is not None:
            await give_up(generation.probing, grace)
        host = generation.host
        if host is None or host.done() or self._resident(generation):
            ended = True
        else:
            ended = await give_up(host, grace) or self._resident(generation)  # it was still being made
        if host is not None and not ended:
            host.add_done_callback(lambda _: self.late(generation, None, None))
            return "abandoned", f"it does not end, {grace:g} s after it was cancelled"
        if generation.threaded and not await self._back(generation, grace):
            return "abandoned", "its thread has not come back; what it makes will be closed when it does"
        return await self._close_product(generation)

    async def _back(self, generation: Generation, seconds: float) -> bool:
        """Wait for its threads, which nobody can cancel, at most *seconds*; whether they have come back."""
        deadline = self._time() + seconds
        while generation.threaded and (left := deadline - self._time()) > 0:
            generation.wakeup = self._tasks.loop.create_future()
            await asyncio.wait({generation.wakeup}, timeout=left)
        return not generation.threaded

    def _resident(self, generation: Generation) -> bool:
        holding = generation.holding
        return holding is not None and holding.host is generation.host and holding.ready.done()

    async def _close_product(self, generation: Generation) -> tuple[str, str]:
        holding, generation.holding = generation.holding, None
        if holding is None:
            return "closed", ""  # nothing was made
        if not self._owners.leave(holding):
            return "kept", ""
        if not generation.candidate.own:
            return "kept", ""
        try:
            way_out = self._way_out(generation, holding)
            return ("closed", "") if way_out is None else await self._walk(generation, way_out)
        finally:
            if holding.resident is not None:
                holding.resident.end()

    async def _walk(self, generation: Generation, way_out: Coroutine[Any, Any, None]) -> tuple[str, str]:
        """Follow *way_out*, for so long; how it ended, and why it failed."""
        limit = generation.limits.close_timeout
        task = self._tasks.start(way_out, f"close {generation!r}")
        await asyncio.wait({task}, timeout=limit)
        if not task.done() and not await give_up(task, generation.limits.cancel_grace):
            return "abandoned", f"closing it takes longer than {limit:g} s, and does not end when cancelled"
        if task.cancelled():
            return "close_failed", f"closing it took longer than {limit:g} s, or cancelled itself"
        error = task.exception()
        return ("closed", "") if error is None else ("close_failed", said(error))

    def _way_out(self, generation: Generation, holding: Holding) -> Coroutine[Any, Any, None] | None:
        """A coroutine that closes the product; None if there is nothing to do."""
        close = generation.candidate.close
        if close is not None:
            # Given up before it was started, it is still what the factory made.
            instance = holding.product if holding.instance is None else holding.instance
            call = partial(close, instance) if callable(close) else method(instance, (close,))
            closing = (
                partial(_missing, instance, str(close))
                if call is None
                else partial(self._call, call, generation)
            )
            holding.exits = False  # its host ends, and leaves the closing to the candidate
            if holding.around is not None:
                return self._leave(holding, closing)
            holding.leave.set()
            return closing()
        if holding.entered == "task":
            return self._leave(holding)
        if holding.entered == "thread":
            leave = partial(
                self._call,
                partial(holding.product.__exit__, None, None, None),
                generation,
                holding.resident,
            )
            return leave() if holding.around is None else self._leave(holding, leave)
        if holding.around is not None:
            return self._leave(holding)
        found = method(holding.product, CLOSE_METHODS)
        return None if found is None else self._call(found, generation)

    async def _leave(
        self, holding: Holding, then: Callable[[], Coroutine[Any, Any, None]] | None = None
    ) -> None:
        """Let the host leave what it has entered; and *then*, whatever came of that."""
        try:
            await self._let_go(holding)
        finally:
            if then is not None:
                await then()

    async def _let_go(self, holding: Holding) -> None:
        assert holding.host is not None
        holding.leave.set()
        try:
            await asyncio.wait({holding.host})
        except asyncio.CancelledError:
            holding.host.cancel()
            await asyncio.wait({holding.host})
            raise
        if not holding.host.cancelled():
            await holding.host  # what leaving raised

    async def _call(
        self, call: Callable[[], Any], generation: Generation, resident: Resident | None = None
    ) -> None:
        if is_async(call):
            await call()
        else:
            name = f"close-{generation.key}#{generation.number}"
            answer = await self._threads.run(call, name=name, resident=resident, limited=False, insist=True)
            if inspect.isawaitable(answer):
                await answer

    def late(self, generation: Generation, product: Any, error: BaseException | None) -> None:
        """A product came, or will not come, after its generation was given up.  Close it."""
        if error is None and product is not None and generation.holding is None:
            generation.holding, _ = self._owners.take(product)
            generation.made = True
        if generation.gone is not None and generation.gone.done():
            self._tasks.start(self._close_late(generation), f"close {generation!r}, late")
        else:
            generation.wake()  # it is being closed, or whoever gave it up is about to do so: it is seen there

    async def _close_late(self, generation: Generation) -> None:
        ending, _ = await self._close_product(generation)
        generation.enter("closed" if ending == "kept" else ending)

    def forlorn(self, generation: Generation, product: Any, error: BaseException | None) -> None:
        """A product came when the loop was closed.  Close it in the thread that made it."""
        if error is not None or product is None or not generation.candidate.own:
            return
        close = generation.candidate.close
        call = method(product, (close,) if isinstance(close, str) else CLOSE_METHODS)
        if callable(close):
            call = partial(close, product)
        if call is not None:
            answer = call()
            if inspect.iscoroutine(answer):
                asyncio.run(answer)


def _stays(dependent: Generation) -> bool:
    """Whether *dependent* serves, or will if what serves turns bad: it does not go by itself."""
    return dependent.gone is None and dependent.state in ("active", "standby")


async def _missing(instance: object, name: str) -> None:
    raise AttributeError(
        f"the candidate is closed by {name!r}, and {type(instance).__name__} has no such method"
    )
