"""The fuzzer: random schedules over three keys that need each other, on a virtual clock.

``ONEIRIC_FUZZ`` says how many; ``ONEIRIC_FUZZ_SEED`` plays one again.
"""

import asyncio
import os
import random

import pytest
from oneiric_hookspecs import Draining, Key, Need, Objection, OneiricError, Paused, Policies, hookimpl

from oneiric.swap.swapper import AUTOMATIC
from oneiric.testing.workshop import failing
from oneiric.testing.world import World

A, B, C = KEYS = tuple(Key.of("adapter", name) for name in "abc")
SCHEDULES = int(os.environ.get("ONEIRIC_FUZZ", "100"))
SEED = os.environ.get("ONEIRIC_FUZZ_SEED")
BATCH = 25


class Moody:
    """A plugin whose judges and observers fail, hang, object and dawdle."""

    def __init__(self, rng):
        self.rng = rng

    async def dawdle(self):
        mood = self.rng.random()
        if mood < 0.03:
            raise ValueError("moody")
        if mood < 0.05:
            await asyncio.sleep(1000)
        if mood < 0.06:
            raise asyncio.CancelledError
        for _ in range(self.rng.randrange(3)):
            await asyncio.sleep(0)

    @hookimpl
    async def oneiric_check_candidate(self):
        if self.rng.random() < 0.2:
            await self.dawdle()

    @hookimpl
    async def oneiric_check_swap(self):
        await self.dawdle()
        return [Objection("in no mood")] if self.rng.random() < 0.05 else None

    @hookimpl
    async def oneiric_check_bound(self):
        await self.dawdle()
        return [Objection("not like this")] if self.rng.random() < 0.08 else None

    @hookimpl
    async def oneiric_activated(self):
        await self.dawdle()

    @hookimpl
    async def oneiric_swapped(self):
        await self.dawdle()

    @hookimpl
    async def oneiric_failed(self):
        await self.dawdle()

    @hookimpl
    async def oneiric_retired(self):
        await self.dawdle()


class Schedule:
    """One random life of a runtime."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        rng = self.rng
        lifecycle = {
            "probation": rng.choice([0, 0, 5]),
            "probe_interval": 1,
            "create_timeout": 5,
            "startup_timeout": 3,
            "auto_swaps_per_minute": rng.choice([2, 10]),
            "keys": {"adapter:a": {"auto_swap": rng.choice(["off", "on", "on_idle"])}},
        }
        # The table of a key stands for itself, so what is usual is said there again.
        self.exclusive = rng.random() < 0.2
        self.world = World({"lifecycle": lifecycle}, [Moody(rng)])
        self.count = 0
        self.imposed, self.imposing = False, rng.choice([0, 2])
        self.committed, self.held = set(), {}
        self.world.steps.watchers.append(self.check_held)

    def check_held(self, _):
        """Nothing is bound by itself where somebody said that nothing should be."""
        for slot in tuple(self.world.engine.slots.values()):
            for each in slot.flights:
                if each.committed and each.id not in self.committed:
                    self.committed.add(each.id)
                    held = self.world.engine.administration.activity(slot.key).mode
                    if held and self.held.get(slot.key) == held and each.cause in AUTOMATIC:
                        self.world.shop.problems.append(
                            f"{each} was committed, although {slot.key} is {held}"
                        )
            self.held[slot.key] = self.world.engine.administration.activity(slot.key).mode

    # --- what products do --------------------------------------------------------------------------------------

    def slow(self, failures, error=ValueError):
        rng = self.rng

        async def act(product):
            mood = rng.random()
            if mood < failures:
                raise error("moody")
            if mood < failures + 0.02:
                await asyncio.sleep(1000)
            if mood < failures + 0.03:
                raise asyncio.CancelledError
            for _ in range(rng.randrange(4)):
                await asyncio.sleep(0)
            if mood > 0.8:
                await asyncio.sleep(rng.choice([0.001, 0.5, 2]))

        return act

    def probe(self, failures):
        rng = self.rng

        async def act(_):
            for _ in range(rng.randrange(2)):
                await asyncio.sleep(0)
            return rng.random() >= failures

        return act

    def add(self, key, provider=None):
        rng, world = self.rng, self.world
        self.count += 1
        provider = provider or f"p{self.count}"
        form = rng.choice(["async", "async", "context", "start", "thread", "thread close", "thread context"])
        sync = form.startswith("thread")
        needs = {A: [], B: [Need(A)], C: [Need(B), Need(A, optional=True)]}[key] if rng.random() < 0.9 else []
        maybe = lambda chance, act: act if rng.random() < chance else None  # noqa: E731
        world.add(
            key,
            provider,
            form,
            needs=needs,
            make=maybe(0.05, failing(ValueError("no"))) if sync else maybe(0.7, self.slow(0.15)),
            enter=None if sync else maybe(0.5, self.slow(0.1)),
            close=maybe(0.1, failing(ValueError("no")))
            if sync or form == "thread close"
            else maybe(0.5, self.slow(0.1)),
            probe=maybe(0.3, self.probe(0.3)),
            priority=rng.randrange(5),
            policies=Policies(mode="exclusive" if self.exclusive and key == C else "overlap"),
        )
        return provider

    def some_provider(self, key):
        records = self.world.runtime.snapshot.records(key)
        return self.rng.choice(records).candidate.provider if records else None

    # --- what users do -----------------------------------------------------------------------------------------

    async def use(self):
        rng, world, key = self.rng, self.world, self.rng.choice(KEYS)
        slot = world.slot(key)
        bound, entered = slot.bound is not None, False
        try:
            async with world.runtime.use(*key) as product:
                entered = True
                if slot.bars:
                    world.shop.problems.append(f"somebody was let in to {key}, where nobody may")
                for _ in range(rng.randrange(1, 4)):
                    product.use()
                    await asyncio.sleep(rng.choice([0, 0, 0.01, 1]))
                    product.use()
                if rng.random() < 0.1:
                    raise RuntimeError("the user's own")
        except RuntimeError:
            return
        except (Paused, Draining) as error:
            if entered or not (self.imposed or self.exclusive):
                world.shop.problems.append(f"a user of {key}, where nothing is imposed, got {error!r}")
        except OneiricError as error:
            if entered or (
                bound
                and not self.imposed
                and not (self.exclusive and key == C)
                and world.engine.operations.closing is None
            ):
                world.shop.problems.append(f"a user of {key}, which was bound, got {error!r}")

    async def swap(self):
        rng, key = self.rng, self.rng.choice(KEYS)
        provider = self.some_provider(key) if rng.random() < 0.8 else None
        await self.world.swap(key, provider, reload=rng.random() < 0.2, timeout=rng.choice([None, None, 1.0]))

    async def transaction(self):
        async with self.world.runtime.transaction() as changes:
            for key in self.rng.sample(KEYS, self.rng.randrange(1, 4)):
                changes.swap(*key, self.some_provider(key))

    async def rollback(self):
        await self.world.runtime.rollback(*self.rng.choice(KEYS))

    async def impose(self):
        rng, runtime = self.rng, self.world.runtime
        target = rng.choice([("adapter",), *KEYS])
        if rng.random() < 0.4:
            await runtime.resume(*target)
            return
        self.imposed = True
        await rng.choice([runtime.hold, runtime.pause, runtime.drain])(*target)

    async def health(self):
        await self.world.runtime.health(*self.rng.choice(KEYS))

    async def register(self):
        self.add(self.rng.choice(KEYS))

    async def withdraw(self):
        key = self.rng.choice(KEYS)
        if len(self.world.runtime.snapshot.records(key)) > 1:
            self.world.runtime.withdraw(key=key, provider=self.some_provider(key))

    async def pin(self):
        key = self.rng.choice(KEYS)
        if self.rng.random() < 0.5:
            self.world.runtime.unpin(*key)
        else:
            self.world.runtime.pin(*key, self.some_provider(key))

    async def act(self):
        rng = self.rng
        action = rng.choices(
            [
                self.use,
                self.swap,
                self.transaction,
                self.rollback,
                self.health,
                self.register,
                self.withdraw,
                self.pin,
                self.impose,
            ],
            [8, 6, 2, 1, 1, 2, 1, 1, self.imposing],
        )[0]
        try:
            await action()
        except OneiricError:
            return

    async def run(self):
        rng = self.rng
        async with self.world as world:
            for key in KEYS:
                self.add(key, "good")
                self.add(key)
            acting = []
            for _ in range(rng.randrange(5, 25)):
                acting.append(asyncio.create_task(self.act(), name="acting"))
                for _ in range(rng.randrange(6)):
                    await asyncio.sleep(0)
                if rng.random() < 0.3:
                    await asyncio.sleep(rng.choice([0.001, 0.5, 1, 3, 10]))
                if rng.random() < 0.25:
                    rng.choice(acting).cancel()
                if rng.random() < 0.05 and (running := world.engine.operations.under_way):
                    # As the runtime's own clean-up would.
                    rng.choice(running).task.cancel()
            if rng.random() < 0.3:
                closing = asyncio.create_task(world.runtime.close())
                await asyncio.wait([*acting, closing])
            else:
                for _ in range(3):  # a drain that was begun meanwhile is taken back, too
                    for target in [("adapter",), *KEYS]:
                        await world.runtime.resume(*target)
                    await asyncio.wait(acting, timeout=100)
                await asyncio.wait(acting)
                await self.converged()
                await asyncio.sleep(rng.choice([0, 0.01, 100, 2000]))
        for task in acting:
            if not task.cancelled() and task.exception() is not None:
                raise AssertionError(f"an action raised {task.exception()!r}") from task.exception()

    async def converged(self):
        """Nothing is left waiting for a resume."""
        for target in [("adapter",), *KEYS]:
            await self.world.runtime.resume(*target)
        for slot in self.world.engine.slots.values():
            if slot.deferred is not None or slot.bars:
                self.world.shop.problems.append(f"{slot} is free, and {slot.deferred} {slot.bars} are left")


def batches():
    if SEED is not None:
        return [[int(SEED)]]
    return [range(first, min(first + BATCH, SCHEDULES)) for first in range(0, SCHEDULES, BATCH)]


@pytest.mark.parametrize("seeds", batches(), ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}")
def test_random_schedules(seeds, run):
    """Whatever happens in whatever order, the invariants hold, and everything made is closed once."""
    failed = {}
    for seed in seeds:
        try:
            run(Schedule(seed).run, timeout=120)
        except AssertionError as error:
            failed[seed] = str(error)

    assert not failed, "\n".join(f"ONEIRIC_FUZZ_SEED={seed}: {text}" for seed, text in failed.items())
