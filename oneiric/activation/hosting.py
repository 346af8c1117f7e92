"""The task in which one product lives: made, entered and left, by one and the same task.

Libraries built on cancel scopes refuse to be left in another task than they were entered in.  And whoever waits for
a product must be able to go away while it is being made; so nobody makes one in a task that users can cancel.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from oneiric_hookspecs import ActivationError, Build, FactoryError, OneiricError

from oneiric.hooks.faults import said

from .generation import Generation
from .holding import Holding, Owners, method
from .products import as_product, is_async, where_to
from .threads import Resident, Threads


class Hosting:
    """Makes and starts products.

    Args:
        threads: For synchronous code.
        owners: Who owns what was made.
        late: Called with a generation that was given up, and the product (or error) that came after all.
        forlorn: The same, in the product's thread, when there is no loop any more.
    """

    def __init__(
        self,
        threads: Threads,
        owners: Owners,
        late: Callable[[Generation, Any, BaseException | None], None],
        forlorn: Callable[[Generation, Any, BaseException | None], None],
    ) -> None:
        self._threads, self._owners, self._late, self._forlorn = threads, owners, late, forlorn

    async def live(self, generation: Generation, build: Build, contract: type | None) -> None:
        """Make the product, start it, say so, and where it was entered stay until it is to be left.

        Runs in a task of its own.  The outcome is in ``generation.started``; it raises only what must end the
        process, and what leaving the product raised.
        """
        try:
            await self._start(generation, build, contract)
        except asyncio.CancelledError:
            if not generation.doomed:
                generation.fail(FactoryError("it cancelled itself: a CancelledError that nobody asked for"))
            self._leave_at_once(generation)
        except OneiricError as error:
            generation.fail(error)
        except Exception as error:
            generation.fail(_told(error))
        except BaseException as error:
            generation.fail(_told(error))
            raise
        else:
            generation.succeed()
        # Also where it failed after it had been entered: it has to be left by this task.
        holding = generation.holding
        if holding is not None and holding.host is asyncio.current_task():
            if generation.gone is not None and generation.gone.done():
                self._late(generation, None, None)  # it ignored its cancellation, and was given up
            await self._stay(holding)

    async def _start(self, generation: Generation, build: Build, contract: type | None) -> None:
        product = as_product(await self._make(generation, build))
        if product is None:
            raise FactoryError("the factory returned None", hint="a factory returns what users are to get")
        holding, first = self._owners.take(product)
        generation.holding, generation.made = holding, True
        if generation.doomed:
            return
        if first:
            try:
                await self._enter(generation, holding, build)
            except BaseException as error:
                holding.ready.set_exception(
                    error if isinstance(error, Exception) else FactoryError("it was given up")
                )
                holding.ready.exception()
                raise
            holding.ready.set_result(None)
        else:
            # Wait, without cancelling what another generation waits for too.
            await asyncio.wait({holding.ready})
            holding.ready.result()
        generation.instance = holding.instance
        if contract is not None and not isinstance(holding.instance, contract):
            raise FactoryError(_lacks(holding.instance, contract))

    async def _make(self, generation: Generation, build: Build) -> Any:
        if where_to(build) == "thread":
            made = await self._threads.run(
                build.call,
                name=_name(generation),
                counted=generation,
                late=partial(self._late, generation),
                forlorn=partial(self._forlorn, generation),
            )
        else:
            made = build.call()
        return await made if inspect.iscoroutine(made) else made

    async def _enter(self, generation: Generation, holding: Holding, build: Build) -> None:
        product = holding.product
        holding.instance = product
        if not build.enter or not generation.candidate.own:
            return  # what is not ours to leave is not ours to enter
        if hasattr(type(product), "__aenter__"):
            holding.instance = await product.__aenter__()
            holding.entered, holding.host = "task", asyncio.current_task()
        elif hasattr(type(product), "__enter__"):
            resident = Resident(_name(generation))
            holding.instance = await self._in_thread(generation, product.__enter__, resident)
            holding.entered, holding.resident = "thread", resident
        # Made before anything is started: it may refuse what it is to be around.
        around = None if build.around is None else build.around(holding.instance, bool(holding.entered))
        if not holding.entered and (start := method(product, ("start",))) is not None:
            if is_async(start):
                await start()
            else:
                await self._in_thread(generation, start)
        if around is not None:
            await around.__aenter__()
            holding.around, holding.host = around, asyncio.current_task()

    async def _in_thread(
        self, generation: Generation, call: Callable[[], Any], resident: Resident | None = None
    ) -> Any:
        """Start the product in a thread; if that comes back after the generation was given up, it is closed then."""

        def late(instance: Any, error: BaseException | None) -> None:
            holding = generation.holding
            if error is None and holding is not None and resident is not None:
                holding.instance, holding.entered, holding.resident = instance, "thread", resident
            elif resident is not None:
                resident.end()
            self._late(generation, None, error)

        try:
            return await self._threads.run(
                call, name=_name(generation), counted=generation, late=late, resident=resident
            )
        except Exception:
            if resident is not None:
                resident.end()
            raise

    def _leave_at_once(self, generation: Generation) -> None:
        """Cancelled in the middle: what has been entered is left now, and not when it is closed."""
        holding = generation.holding
        if holding is not None and holding.host is asyncio.current_task():
            holding.exits = generation.candidate.close is None
            holding.leave.set()

    async def _stay(self, holding: Holding) -> None:
        try:
            await holding.leave.wait()
        except asyncio.CancelledError:
            # The loop is being torn down around us: leave all the same.
            pass
        try:
            if holding.around is not None:
                await holding.around.__aexit__(None, None, None)
        finally:
            if holding.exits and holding.entered == "task":
                await holding.product.__aexit__(None, None, None)


def _name(generation: Generation) -> str:
    return f"{generation.key}#{generation.number}"


def _told(error: BaseException) -> ActivationError:
    told = FactoryError(said(error))
    if isinstance(error, RuntimeError) and "no running event loop" in told.reason:
        told.hint = 'it wants the loop: make the factory async, or build it with Build(mode="inline")'
    told.__cause__ = error
    return told


def _lacks(instance: Any, contract: type) -> str:
    names = sorted(name for name in dir(contract) if not name.startswith("_") and not hasattr(instance, name))
    return f"its product is no {contract.__name__}: {type(instance).__name__} lacks {', '.join(names)}"
