"""Calling parts: an action is invoked, an event is emitted, a task and a workflow are run."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from graphlib import TopologicalSorter
from typing import Any

import attrs
from harness import Pace, race, repeat_async
from lines import Line, Row, ratio
from oneiric_hookspecs import (
    Action,
    Candidate,
    Envelope,
    Graph,
    Key,
    Node,
    RunContext,
    Subscription,
    hookimpl,
)

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


def started(runner: asyncio.Runner, *candidates: Candidate, **settings: Any) -> Runtime:
    """A runtime that has been started on *runner*."""
    runtime = assemble({"state": {"url": "memory:"}, **settings}, plugins=[Kit()], environment=False)
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


class Idle:
    """A task that does nothing."""

    async def run(self, payload: Any, context: RunContext) -> Any:
        """Give nothing."""
        return None


def two_rows(db: sqlite3.Connection) -> None:
    """Write down that something has begun, and that it has ended."""
    number = db.execute("INSERT INTO runs (state) VALUES ('running')").lastrowid
    db.execute("UPDATE runs SET state = 'succeeded' WHERE number = ?", (number,))


def tasks(pace: Pace) -> Iterator[Line]:
    """A task that does nothing is run, without a journal and with one.

    Plain: a task of asyncio; two writes to an SQLite file, in a thread.
    """
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        db = sqlite3.connect(f"{folder}/plain.db", isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode = WAL").fetchone()
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("CREATE TABLE runs (number INTEGER PRIMARY KEY, state TEXT)")
        idle = Idle()
        names = {"idle": idle, "asyncio": asyncio, "context": RunContext("run", "idle"), "db": db}
        names["two_rows"] = two_rows
        for name, plain, journal, must in (
            ("no journal", "await asyncio.create_task(idle.run(None, context))", False, 20.0),
            ("journal", "await asyncio.to_thread(two_rows, db)", True, 8.0),
        ):
            table = {"journal": journal, "path": f"{folder}/runs.db"}
            candidate = Candidate.ready(Key("task", "idle"), "bench", idle)
            runtime = started(runner, candidate, plugins={"settings": {"executors.local": table}})
            ours = repeat_async(runner, "await call('task', 'idle')", call=runtime.call)
            yield ratio(name, race({"plain": repeat_async(runner, plain, **names), "ours": ours}, pace), must)
            runner.run(runtime.close())
        db.close()


async def by_hand(graph: Graph, task: Idle, context: RunContext) -> None:
    """Run a graph with what the standard library has: a task for each node, as soon as it is ready."""
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    sorter = TopologicalSorter({node.id: node.after for node in graph.nodes})
    sorter.prepare()

    def begin() -> None:
        for ready in sorter.get_ready():
            loop.create_task(task.run(None, context)).add_done_callback(partial(ended, ready))

    def ended(identity: str, done: asyncio.Task[Any]) -> None:
        done.result()
        sorter.done(identity)
        if sorter.is_active():
            begin()
        else:
            over.set_result(None)

    begin()
    await over


def workflows(pace: Pace) -> Iterator[Line]:
    """A graph of 1,000 tasks that do nothing, side by side or one after another, without a journal.

    Plain: ``graphlib`` and a task of asyncio for each.
    """
    wide = Graph([Node(f"n{number}", "idle") for number in range(1000)], concurrency=1000)
    first = Node("n0", "idle")
    chain = Graph([first, *(Node(f"n{n}", "idle", [f"n{n - 1}"]) for n in range(1, 1000))])
    idle = Idle()
    journal = {"plugins": {"settings": {"executors.local": {"journal": False}}}}
    with asyncio.Runner() as runner:
        runtime = started(
            runner,
            Candidate.ready(Key("task", "idle"), "bench", idle),
            Candidate.ready(Key("workflow", "wide"), "bench", wide),
            Candidate.ready(Key("workflow", "chain"), "bench", chain),
            **journal,
        )
        names = {"by_hand": by_hand, "idle": idle, "run": runtime.domain("workflow").run}
        names |= {"wide": wide, "chain": chain, "context": RunContext("run", "wide")}
        for name, must in (("wide", 2.0), ("chain", 5.0)):
            plain = repeat_async(runner, f"await by_hand({name}, idle, context)", **names)
            ours = repeat_async(runner, f"await run({name!r})", **names)
            yield ratio(name, race({"plain": plain, "ours": ours}, pace), must)
        runner.run(runtime.close())


ROWS = (Row("actions", actions), Row("events", events), Row("tasks", tasks), Row("workflows", workflows))
