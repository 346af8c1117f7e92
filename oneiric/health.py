"""A generation becomes a ``Health``: asked under a deadline, its answer read strictly.

What a check may answer: True or None is ok (None, as in a ping that raises when it fails), False is failed, a
``Health``, a status word, a mapping with ``status``, a pair of a status and a reason.  An exception is failed, no
answer in time is failed, and anything else is unknown, which does not pass.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from oneiric_hookspecs import Health, specs
from oneiric_hookspecs.health import STATUSES, Kind

from .activation import Generation, Threads
from .activation.products import is_async
from .hooks import HookManager
from .hooks.faults import said
from .tasks import Tasks, give_up


def read(answer: object) -> Health:
    """The health that *answer* of a check means; never raises."""
    if answer is None or answer is True:
        return Health("ok")
    if answer is False:
        return Health("failed", "its check answers no")
    if isinstance(answer, Health):
        return answer
    if isinstance(answer, str) and answer in STATUSES:
        return Health(answer)
    try:
        return _spelled_out(answer) or Health("unknown", _says_nothing(answer))
    except Exception:
        return Health("unknown", _says_nothing(answer))


def _spelled_out(answer: object) -> Health | None:
    if isinstance(answer, Mapping) and isinstance(status := answer.get("status"), str) and status in STATUSES:
        details = {str(name): value for name, value in answer.items() if name not in ("status", "reason")}
        return Health(status, str(answer.get("reason") or ""), details)
    if (
        isinstance(answer, tuple)
        and len(answer) == 2
        and isinstance(answer[0], str)
        and answer[0] in STATUSES
    ):
        return Health(answer[0], str(answer[1]))
    return None


def _says_nothing(answer: object) -> str:
    return f"its check answers {_short(answer)}, which says nothing about health"


def _short(answer: object) -> str:
    try:
        shown = repr(answer)
    except Exception:
        shown = f"a {type(answer).__name__}"
    return shown if len(shown) <= 40 else shown[:37] + "..."


_NO_CHECK = Health("ok", "it has no check")


class Prober:
    """Asks generations for their health.

    Args:
        tasks: Where checks run.
        threads: For synchronous checks.
        hooks: Who says what to call.
        at_once: How many checks may be under way.
        every: Seconds between the startup probes of one generation.
    """

    def __init__(
        self, tasks: Tasks, threads: Threads, hooks: HookManager, *, at_once: int = 32, every: float = 0.5
    ) -> None:
        self._tasks, self._threads = tasks, threads
        self._hook = hooks[specs.oneiric_probe]
        self._room = asyncio.Semaphore(at_once)
        self._every = every
        self._time = tasks.loop.time

    async def probe(self, generation: Generation, kind: Kind, seconds: float) -> Health:
        """Ask once; it is kept as ``generation.health``, but of liveness.  Never raises but when cancelled.

        Two probes of one generation are never under way together; the second waits for the first.
        """
        began = self._time()
        call = self._check_of(generation, kind)
        if call is None or isinstance(call, Health):
            health = call or _NO_CHECK
            return self._kept(
                generation, Health(health.status, health.reason, health.details, began, 0.0, kind)
            )
        async with self._room:
            while (asking := generation.probing) is not None:
                await asyncio.wait({asking}, timeout=seconds + generation.limits.cancel_grace)
                if not asking.done():
                    self._asked(generation, asking)  # it does not end, and is not waited for again
            began = self._time()
            health = await self._ask(generation, call, seconds)
        now = self._time()
        health = attrs.evolve(health, kind=kind, observed_at=now, latency=now - began)
        return self._kept(generation, health)

    def declared(self, generation: Generation, kind: Kind) -> bool:
        """Whether anybody says what to ask *generation* for *kind*; who fails to say has said something."""
        return self._check_of(generation, kind) is not None

    def _kept(self, generation: Generation, health: Health) -> Health:
        # Whether it works is one thing, whether it is to be started again another.
        if health.kind != "liveness":
            generation.health = health
        return health

    def _check_of(self, generation: Generation, kind: Kind) -> Callable[[], Any] | Health | None:
        """What to call, if anything; a prober that fails is a health that has failed."""
        try:
            return self._hook(generation.view(), kind)
        except Exception as error:
            return Health("failed", said(error))

    async def _ask(self, generation: Generation, call: Callable[[], Any], seconds: float) -> Health:
        task = self._tasks.start(self._call(generation, call), f"probe {generation!r}")
        generation.probing = task
        task.add_done_callback(lambda _: self._asked(generation, task))
        try:
            await asyncio.wait({task}, timeout=seconds)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not task.done():
            if not await give_up(task, generation.limits.cancel_grace):
                # It does not end; the next probe must not wait for it for ever.
                self._asked(generation, task)
            return Health("failed", f"no answer in {seconds:g} s")
        if task.cancelled():
            return Health("failed", "its check cancelled itself")
        raised = task.exception()
        return read(task.result()) if raised is None else Health("failed", said(raised))

    def _asked(self, generation: Generation, task: asyncio.Task[Any]) -> None:
        if generation.probing is task:
            generation.probing = None

    async def _call(self, generation: Generation, call: Callable[[], Any]) -> Any:
        if is_async(call):
            return await call()
        if generation.checks.threaded:
            return Health("failed", "its last check has not come back")
        name = f"probe-{generation.key}#{generation.number}"
        answer = await self._threads.run(call, name=name, counted=generation.checks, limited=False)
        return await answer if inspect.isawaitable(answer) else answer

    async def startup(self, generation: Generation, seconds: float, *, once: bool = False) -> Health:
        """Ask until it passes, at most *seconds* long, or *once*; the last answer.  Never raises but when cancelled."""
        deadline = self._time() + seconds
        while True:
            # Time has passed while it slept.
            health = await self.probe(generation, "startup", max(min(deadline - self._time(), 5.0), 0.001))
            left = deadline - self._time()
            if health.passes or left <= 0.001 or once:
                return health
            await asyncio.sleep(min(self._every, left))
