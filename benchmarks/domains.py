"""Calling parts: an action is invoked, an event is emitted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import attrs
from harness import Pace, race, repeat_async
from lines import Line, Row, ratio
from oneiric_hookspecs import Action, Candidate, Envelope, Key, Subscription, hookimpl

from oneiric import Runtime, assemble


@attrs.frozen
class Text:
    """A request, and a result."""

    text: str


@attrs.frozen
class Voice:
    """Settings."""

    loud: bool = False


async def say(request: Text, settings: Voice) -> Text:
    """Do next to nothing."""
    return request


class Kit:
    """A plugin of two actions, one of which has a limit."""

    @hookimpl
    def oneiric_actions(self) -> Iterable[Action]:
        for name, timeout in (("bench.say", None), ("bench.limited", 5.0)):
            yield Action(name, "say it", takes=Text, returns=Text, settings=Voice, run=say, timeout=timeout)


class Handler:
    """Handles everything at once."""

    async def handle(self, envelope: Envelope) -> Any:
        """Do nothing."""
        return None


def started(runner: asyncio.Runner, *candidates: Candidate) -> Runtime:
    """A runtime that has been started on *runner*."""
    runtime = assemble({"state": {"url": "memory:"}}, plugins=[Kit()], environment=False)
    runtime.register(*candidates)
    runner.run(runtime.start())
    return runtime


def actions(pace: Pace) -> Iterator[Line]:
    """An action is invoked with a request that is made for it.  Plain: its function is awaited with the same.

    With a limit, plain is an empty ``asyncio.timeout``.
    """
    with asyncio.Runner() as runner:
        runtime = started(runner)
        invoke = runtime.domain("action").invoke
        names = {"say": say, "Text": Text, "voice": Voice(), "invoke": invoke, "timeout": asyncio.timeout}
        plain = repeat_async(runner, 'await say(Text("ho"), voice)', **names)
        ours = repeat_async(runner, 'await invoke("bench.say", Text("ho"))', **names)
        yield ratio("invoke", race({"plain": plain, "ours": ours}, pace), 8.0)
        plain = repeat_async(runner, "async with timeout(5): pass", **names)
        ours = repeat_async(runner, 'await invoke("bench.limited", Text("ho"))', **names)
        yield ratio("with a limit", race({"plain": plain, "ours": ours}, pace), 2.0)
        runner.run(runtime.close())


async def group(handlers: list[Handler], envelope: Envelope) -> None:
    """Tell all of them, as one would by hand."""
    async with asyncio.TaskGroup() as tasks:
        for each in handlers:
            tasks.create_task(each.handle(envelope))


def events(pace: Pace) -> Iterator[Line]:
    """An event is emitted to 100 handlers, each with its limit of 30 s.  Plain: 100 tasks of a ``TaskGroup``.

    Then the same while 1,000 others listen to other topics.
    """
    handlers = [Handler() for _ in range(100)]
    candidates = [
        Candidate.ready(Key("event", f"bench-{number}"), "bench", each, data=Subscription(["bench.said"]))
        for number, each in enumerate(handlers)
    ]
    others = [
        Candidate.ready(Key("event", f"other-{n}"), "bench", Handler(), data=Subscription([f"other.{n}.*"]))
        for n in range(1000)
    ]
    with asyncio.Runner() as runner:
        runtime = started(runner, *candidates)
        names = {
            "group": group,
            "handlers": handlers,
            "envelope": Envelope("bench.said"),
            "send": runtime.domain("event").send,
        }
        plain = repeat_async(runner, "await group(handlers, envelope)", **names)
        ours = repeat_async(runner, "await send(envelope)", **names)
        yield ratio("100 handlers", race({"plain": plain, "ours": ours}, pace), 1.5)
        runtime.register(*others, source="others")
        yield ratio("1,000 others", race({"plain": plain, "ours": ours}, pace), 1.5)
        runner.run(runtime.close())


ROWS = (Row("actions", actions), Row("events", events))
