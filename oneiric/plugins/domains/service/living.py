"""Services at work: what is started when one is bound, watched while it is, and ended when it goes.

Each is entered and left in the task that hosts it.  Whoever swaps a service so has the new one at work before the old
one is asked to end; and where the two cannot overlap, after.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Self

from oneiric_hookspecs import (
    ActivationError,
    Candidate,
    Clock,
    FactoryError,
    Host,
    OneiricError,
    Permanent,
    RuntimeClosing,
    ServiceState,
)

log = logging.getLogger("oneiric.services")

_HINT = "a service has an async run(), or start() and stop()"


class Past(NamedTuple):
    """What is known of one that is not bound."""

    provider: str
    state: ServiceState
    since: float
    error: str


class Lives:
    """The services of one runtime.

    Args:
        host: The runtime.
        clock: Its clock.

    Attributes:
        past: What became of those that are not bound any more, or did not come up, by name.
    """

    def __init__(self, host: Host, clock: Clock) -> None:
        self.host, self.clock = host, clock
        self.past: dict[str, Past] = {}
        self._up: dict[
            int, Life
        ] = {}  # by the identity of the instance, which a user may have made equal to others

    def around(self, candidate: Candidate, service: Any, entered: bool) -> Life:
        """The life of *service*; see ``Build.around``.

        Raises:
            FactoryError: It is no service.
        """
        return Life(self, candidate, service, entered)

    def of(self, service: object) -> Life | None:
        """The life of an instance that is up; None of one that is not the runtime's to start."""
        return self._up.get(id(service))

    def begins(self, life: Life) -> None:
        """It is at work."""
        self._up[id(life.service)] = life

    def ends(self, life: Life) -> None:
        """It has been asked to end."""
        if self._up.get(id(life.service)) is life:
            del self._up[id(life.service)]
        name, provider = life.candidate.key.name, life.candidate.provider
        if life.failure:
            self.past[name] = Past(provider, "failed", life.since, life.failure)
        else:
            self.past[name] = Past(provider, "stopped", self.clock.time(), "")

    def did_not_come_up(self, name: str, error: OneiricError) -> None:
        """An operation on it has failed."""
        provider = getattr(error, "provider", None) or ""
        self.past[name] = Past(provider, "failed", self.clock.time(), why_not(error))

    def fails(self, life: Life, error: BaseException | None) -> None:
        """Its ``run()`` has ended, and nobody had asked for that."""
        key, provider = life.candidate.key, life.candidate.provider
        log.error("service %s (%s): %s", key.name, provider, life.failure, exc_info=error)
        kind: Literal["ended", "finished"] = "finished" if life.finished else "ended"
        self.host.failed(
            *key, life.service, kind, life.failure, permanent=isinstance(error, Permanent | PermissionError)
        )
        telling = self._tell(life)
        try:
            self.host.spawn(telling, name=f"services: health of {key.name}")
        except RuntimeClosing:
            telling.close()

    async def _tell(self, life: Life) -> None:
        """Have the kernel ask for the health of what has failed, so that its status knows."""
        domain, name = life.candidate.key
        bound = self.host.bound(domain, name)
        if bound is not None and bound.instance is life.service:
            try:
                await self.host.health(domain, name)
            except OneiricError as error:
                log.debug("service %s is not bound any more: %s", name, error)


class Life:
    """One service, from its start to its end.

    Args:
        lives: Where it is known.
        candidate: What it was made from.
        service: The instance.
        entered: Whether it came out of a context manager, which starts it and ends it.
    Raises:
        FactoryError: It is no service.

    Attributes:
        since: When it began to be as it is, on the runtime's clock.
        failure: How its ``run()`` ended by itself, in a sentence; empty while it goes on.
        finished: Whether it did so by returning.
    """

    def __init__(self, lives: Lives, candidate: Candidate, service: Any, entered: bool) -> None:
        self.candidate, self.service = candidate, service
        self.since, self.failure, self.finished = lives.clock.time(), "", False
        self._lives = lives
        self._run, self._stop = method(service, "run"), method(service, "stop")
        self._started = not entered and method(service, "start") is not None
        self._task: asyncio.Task[Any] | None = None
        self._leaving = False
        what = type(service).__name__
        if self._run is not None and not inspect.iscoroutinefunction(self._run):
            if not (self._started or entered):
                raise FactoryError(f"its product is no service: the run() of {what} is not async", hint=_HINT)
            self._run = None
        if self._run is not None or entered:
            return
        if not self._started:
            raise FactoryError(f"its product is no service: {what} has no run() and no start()", hint=_HINT)
        if self._stop is None and candidate.close is None:
            raise FactoryError(f"its product is no service: {what} has start() and no stop()", hint=_HINT)

    async def __aenter__(self) -> Self:
        if self._run is not None:
            key, provider = self.candidate.key, self.candidate.provider
            task = self._task = asyncio.create_task(self._run(), name=f"run {key} {provider}")
            try:
                await asyncio.sleep(0)  # what fails in its first step has not come up
            except asyncio.CancelledError:
                await self._cancel(task)
                raise
            if task.done():
                raise FactoryError(_ending(task)) from _raised(task)
            task.add_done_callback(self._ended)
        self.since = self._lives.clock.time()
        self._lives.begins(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._leaving = True
        self._lives.ends(self)
        task = self._task
        if task is None or task.done():
            if self._started and self._stop is not None and self.candidate.close is None:
                await self._call(self._stop)
            return
        try:
            if self._stop is None:
                task.cancel()
            elif inspect.isawaitable(answer := self._stop()):
                await answer
            await asyncio.wait({task})
        finally:
            # Whatever became of asking: nothing of it goes on.
            await self._cancel(task)
        if (error := _raised(task)) is not None:
            raise error

    async def _cancel(self, task: asyncio.Task[Any]) -> None:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        _raised(task)  # looked at

    async def _call(self, call: Callable[[], Any]) -> None:
        if inspect.iscoroutinefunction(call):
            await call()
            return
        answer = await self._lives.host.in_thread(call, name=f"stop {self.candidate.key}")
        if inspect.isawaitable(answer):
            await answer

    def _ended(self, task: asyncio.Task[Any]) -> None:
        error = _raised(task)
        if not self._leaving:
            self.finished = not task.cancelled() and error is None
            self.failure, self.since = _ending(task), self._lives.clock.time()
            self._lives.fails(self, error)


def why_not(error: OneiricError) -> str:
    """Why one did not come up, in a sentence."""
    if isinstance(error, ActivationError) and error.reason:
        return f"it did not come up: {error.reason}"
    return "; ".join(line.strip() for line in str(error).splitlines())


def said(error: BaseException) -> str:
    """*error* with its kind, in one line; all of it, since half a secret would not be known for one.

    Of the framework's own errors the first line: what follows is for who types a command.
    """
    try:
        lines = str(error).splitlines()
        text = " ".join(" ".join(lines[:1] if isinstance(error, OneiricError) else lines).split())
    except Exception:
        text = "(its text cannot be shown)"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def method(thing: Any, name: str) -> Callable[..., Any] | None:
    """The method *name*, where *thing* or its class really has it: proxies that answer to every name have none."""
    if hasattr(type(thing), name) or name in getattr(thing, "__dict__", ()):
        found = getattr(thing, name, None)
        if callable(found):
            return found  # type: ignore[no-any-return]
    return None


def _raised(task: asyncio.Task[Any]) -> BaseException | None:
    return None if task.cancelled() else task.exception()


def _ending(task: asyncio.Task[Any]) -> str:
    if task.cancelled():
        return "its run() was cancelled, and nobody had asked for that"
    error = task.exception()
    if error is None:
        return "its run() has ended by itself"
    return f"its run() failed: {said(error)}"
