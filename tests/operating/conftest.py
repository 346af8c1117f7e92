"""A process that keeps going, in this process and in virtual time: a world with a store in memory, and its node."""

import asyncio
import contextlib

import attrs
import pytest
from oneiric_hookspecs import Key

from oneiric import orchestrate
from oneiric.state import Desired, History, Observed, Requests, living
from oneiric.testing.world import World

A, B = Key.of("adapter", "a"), Key.of("adapter", "b")
BEGIN = 1_800_000_000.0


@attrs.define
class Node:
    """What a command in another process sees of a node: nothing but the store."""

    world: World
    orchestrator: object
    desired: Desired
    observed: Observed
    history: History
    requests: Requests

    @property
    def runtime(self):
        return self.world.runtime

    @property
    def store(self):
        return self.world.runtime.state

    async def seen(self, key=A):
        """What the node says of *key*."""
        return (await self.observed.of(self.orchestrator.node)).get(key)

    async def acted(self, revision, key=A):
        """What it says of *key* once it has come up to *revision*."""
        async with asyncio.timeout(300):
            while True:
                seen = await self.seen(key)
                if seen is not None and (seen.desired or 0) >= revision:
                    return seen
                await asyncio.sleep(0.01)

    async def events(self, *kinds):
        """What has happened, of these kinds."""
        await self.at_rest()
        return [told.event for told in await self.history.read() if told.event.kind in kinds or not kinds]

    async def answers(self, number):
        """What came of a request."""
        async with asyncio.timeout(300):
            while not (found := await self.requests.answers(number)):
                await asyncio.sleep(0.01)
        return found

    async def at_rest(self):
        """Everything that has happened is written down."""
        await self.world.at_rest()
        await asyncio.sleep(0.01)

    async def living(self):
        return [each.name for each in await living(self.store)]


@pytest.fixture
def wall(clock):
    """A wall clock that goes with the test's."""
    return lambda: BEGIN + clock.time()


@pytest.fixture
def keeping(wall):
    """Gives nodes: a block of ``keeping(settings)`` is a world that is kept going."""

    @contextlib.asynccontextmanager
    async def keeping(settings=None, *, prepare=None, name="node", clock_of=wall, **more):
        tables = {"state": {"url": "memory:"}, **(settings or {})}
        async with World(tables, each_step=False, **more) as world:
            if prepare is not None:
                await prepare(world)
            async with orchestrate(world.runtime, node=name, wall=clock_of) as orchestrator:
                store = world.runtime.state
                yield Node(
                    world,
                    orchestrator,
                    Desired(store, now=wall),
                    Observed(store),
                    History(store),
                    Requests(store, now=wall),
                )

    return keeping
