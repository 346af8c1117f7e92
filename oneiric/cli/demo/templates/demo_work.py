"""What the demo's shop does all day: a service, tasks, handlers of events, a workflow; and a cache that a stream offers.

Everything that is really done is a line in ``done.txt``, whichever process did it; the demo's verdict counts them.
"""

import asyncio
from pathlib import Path

import attrs
from oneiric_hookspecs import Candidate, Graph, Key, Node, Retry, Subscription, TaskSpec, hookimpl

DONE = Path(__file__).with_name("done.txt")


def note(what):
    with DONE.open("a", encoding="utf-8") as file:
        file.write(f"{what}\n")


def times(what):
    return DONE.read_text("utf-8").splitlines().count(what) if DONE.exists() else 0


@attrs.frozen
class Every:
    """``[services.settings.stock.counting]``."""

    every: float = 60.0


class Stock:
    """Counts what is in stock, again and again, for as long as it is bound."""

    def __init__(self, settings):
        self.settings, self.rounds = settings, 0

    async def run(self):
        try:
            while True:
                self.rounds += 1
                await asyncio.sleep(self.settings.every)
        finally:
            note("stock ended")

    def status(self):
        return {"rounds": self.rounds}


class Invoice:
    """Prints an invoice; the printer is busy at first."""

    async def run(self, payload, context):
        if context.attempt == 1:
            note("printer busy")
            raise OSError("the printer is busy")
        note("invoice")
        return {"invoice": payload["order"], "attempts": context.attempt}


class Thanks:
    async def handle(self, envelope):
        return f"thanked {envelope.payload['email']}"


class Points:
    async def handle(self, envelope):
        raise KeyError("loyalty_card")


class Step:
    """A step on an order's way."""

    async def run(self, payload, context):
        note(context.node)
        return f"{context.node} {payload}"


class Pack:
    """Takes a minute the first time, which nobody waits for: its process is killed."""

    async def run(self, payload, context):
        note(context.node)
        if times(context.node) == 1:
            await asyncio.sleep(60)
        return f"{context.node} {payload}"


ORDER = Graph(
    [
        Node("reserve", "step", args={"$payload": "item"}),
        Node("charge", "step", args={"$payload": "item"}),
        Node("pack", "pack", ["reserve", "charge"], args={"$payload": "item"}),
        Node("ship", "step", ["pack"], args={"$payload": "item"}),
    ]
)


@hookimpl
def oneiric_candidates():
    yield Candidate(Key.of("service", "stock"), "counting", Stock, settings_class=Every)
    retried = TaskSpec(retry=Retry(attempts=3, backoff=0.01, on=["OSError"]))
    yield Candidate(Key.of("task", "invoice"), "printer", Invoice, data=retried)
    for name, handler in (("thanks", Thanks), ("points", Points)):
        yield Candidate(Key.of("event", name), "shop", handler, data=Subscription(["order.*"]))
    yield Candidate(Key.of("task", "step"), "shop", Step)
    yield Candidate(Key.of("task", "pack"), "shop", Pack)
    yield Candidate.ready(Key.of("workflow", "order"), "shop", ORDER)


# --- what the stream's entries name ------------------------------------------------------------------------------------


@attrs.frozen
class Size:
    """The settings that an entry of the stream brings."""

    max_items: int = 1000


class Swift:
    """A cache in a dict, which forgets the oldest."""

    def __init__(self, settings: Size):
        self.kept, self.settings = {}, settings

    async def get(self, name):
        return self.kept.get(name)

    async def set(self, name, value, ttl=None):
        self.kept[name] = value
        if len(self.kept) > self.settings.max_items:
            del self.kept[next(iter(self.kept))]

    async def delete(self, name):
        return self.kept.pop(name, None) is not None

    async def clear(self):
        self.kept.clear()

    async def health(self):
        return True

    async def aclose(self):
        self.kept.clear()
