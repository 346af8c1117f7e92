"""Whatever is done in whatever order: what is bound is what a model of ten lines says."""

import asyncio

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from oneiric_hookspecs import FactoryError, Key, Need, NoCandidate, NothingBefore, ResolutionError

from oneiric.testing import VirtualLoop

BASE, TOP = Key("adapter", "base"), Key("adapter", "top")
PROVIDERS = st.sampled_from("abc")

#: Nobody waits for room, and nobody is hurried: what is modelled is who serves.
LIMITS = {"max_generations": 1000, "auto_swaps_per_minute": 1_000_000}


class Machine(RuleBasedStateMachine):
    """One key, another that is built from it, and what ought to be bound to both."""

    Workshop: type

    def __init__(self):
        super().__init__()
        self.shop = self.Workshop()
        self.loop = VirtualLoop()
        self.problems = []
        self.loop.set_exception_handler(lambda _, context: self.problems.append(context["message"]))
        # The model.
        self.registered = {}  # provider -> (priority, place, version)
        self.places = 0
        self.failing = set()
        self.pin = None
        self.bound = None  # (provider, version)
        self.previous = None
        self.top = False
        self.held = []  # leases, each with what it leased

    @initialize()
    def begin(self):
        top = self.shop.candidate("top", "t", needs=[Need(BASE)])
        self.runtime = self.shop.runtime(top, settings={"lifecycle": LIMITS})
        self.run(self.runtime.start())

    def run(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    def settle(self):
        async def quiet():
            for _ in range(30):
                await asyncio.sleep(0)
            while self.runtime.status().operations:
                await asyncio.sleep(0)
            for _ in range(30):
                await asyncio.sleep(0)

        self.run(quiet())

    # --- the model's own answers ----------------------------------------------------------------------------------

    def winner(self, pin):
        if pin is not None:
            return pin if pin in self.registered else None
        return max(self.registered, key=lambda provider: self.registered[provider][:2], default=None)

    def become(self, provider):
        """What a successful swap to *provider* makes of the model."""
        now = (provider, self.registered[provider][2])
        if now != self.bound:
            if self.bound is not None:
                self.previous = self.bound[0]
            self.bound = now

    # --- registering ------------------------------------------------------------------------------------------------

    @rule(provider=PROVIDERS, priority=st.integers(-2, 2), version=st.sampled_from(["1", "2"]))
    def register(self, provider, priority, version):
        def before(_):
            if provider in self.failing:
                raise OSError("not now")

        known = self.registered.get(provider)
        if known is not None and known[2] != version:
            self.runtime.withdraw(key=BASE, provider=provider)
            known = None
        self.runtime.register(
            self.shop.candidate("base", provider, priority=priority, version=version, before=before)
        )
        if known is None:
            self.places += 1
        self.registered[provider] = (priority, self.places if known is None else known[1], version)

    @rule(provider=PROVIDERS)
    def withdraw(self, provider):
        self.runtime.withdraw(key=BASE, provider=provider)
        self.registered.pop(provider, None)

    @rule(provider=PROVIDERS)
    def fail_or_mend(self, provider):
        self.failing ^= {provider}

    async def in_the_loop(self, call):
        return call()

    @rule(provider=PROVIDERS)
    def choose(self, provider):
        try:
            self.run(self.in_the_loop(lambda: self.runtime.pin(*BASE, provider)))
        except ResolutionError:
            assert provider not in self.registered
        else:
            self.pin = provider

    @rule()
    def choose_no_more(self):
        self.run(self.in_the_loop(lambda: self.runtime.unpin(*BASE)))
        self.pin = None

    # --- changing ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.registered)
    @rule(provider=st.none() | PROVIDERS, reload=st.booleans())
    def swap(self, provider, reload):
        target = self.winner(provider)
        unchanged = target is not None and not reload and (target, self.registered[target][2]) == self.bound
        try:
            report = self.run(self.runtime.swap(*BASE, provider, reload=reload))
        except ResolutionError:
            assert target is None
            return
        except FactoryError:
            assert target in self.failing
            assert not unchanged
            return
        assert target is not None
        assert (report.outcome == "unchanged") is unchanged
        assert unchanged or target not in self.failing
        assert (report.old, report.new) == (None if self.bound is None else self.bound[0], target)
        if reload and self.bound is not None:
            self.previous = self.bound[0]
        self.become(target)
        self.pin = provider

    @precondition(lambda self: self.registered)
    @rule()
    def roll_back(self):
        target = self.previous
        try:
            self.run(self.runtime.rollback(*BASE))
        except NothingBefore:
            assert target is None
        except ResolutionError:
            assert target not in self.registered
        except FactoryError:
            assert target in self.failing
        else:
            self.become(target)
            self.pin = target

    @precondition(lambda self: self.registered or self.bound)
    @rule()
    def use(self):
        async def use():
            async with self.runtime.use(*BASE) as thing:
                return thing.use(), thing.closed

        try:
            answer = self.run(use())
        except ResolutionError:
            assert self.bound is None
            assert self.winner(self.pin) is None
        except FactoryError:
            assert self.bound is None
            assert self.winner(self.pin) in self.failing
        else:
            if self.bound is None:
                self.become(self.winner(self.pin))
            assert answer == (self.bound[0], 0)

    @rule()
    def use_what_is_built_from_it(self):
        async def use():
            async with self.runtime.use(*TOP) as thing:
                return thing.needs["base"].provider

        try:
            provider = self.run(use())
        except NoCandidate:
            raise
        except Exception:
            assert self.bound is None
            assert not self.top
        else:
            if self.bound is None:
                self.become(self.winner(self.pin))
            self.top = True
            assert provider == self.bound[0]

    # --- leases -----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.bound)
    @rule()
    def take(self):
        lease = self.runtime.lease(*BASE)
        self.held.append((lease, lease.__enter__()))

    @precondition(lambda self: self.held)
    @rule(number=st.integers(0))
    def give_back(self, number):
        lease, thing = self.held.pop(number % len(self.held))
        assert not thing.closed
        lease.__exit__(None, None, None)

    # --- what always holds --------------------------------------------------------------------------------------------

    @invariant()
    def what_serves_is_what_the_model_says(self):
        self.settle()
        status = self.runtime.status()
        slot = status.of(*BASE)
        found = None if slot is None or slot.bound is None else slot.bound.provider
        assert found == (None if self.bound is None else self.bound[0])
        if self.registered:
            winner = self.runtime.explain(*BASE).winner
            assert (None if winner is None else winner.provider) == self.winner(self.pin)
        leased = {id(thing) for _, thing in self.held}
        for thing in self.shop.made:
            assert thing.closed <= 1
            assert not thing.misused
            assert not (thing.closed and id(thing) in leased)
        serving = []
        if self.bound:
            with self.runtime.lease(*BASE) as thing:
                serving.append(thing)
                assert self.top is (status.of(*TOP) is not None and status.of(*TOP).bound is not None)
                if self.top:
                    with self.runtime.lease(*TOP) as top:
                        assert top.needs["base"] is thing
                        serving.append(top)
        assert {id(thing) for thing in self.shop.open} == leased | {id(thing) for thing in serving}
        assert self.problems == []

    def teardown(self):
        for lease, _ in self.held:
            lease.__exit__(None, None, None)
        report = self.run(self.runtime.close())
        self.settle()
        left = asyncio.all_tasks(self.loop)
        self.loop.close()
        assert report.clean
        assert not left
        assert self.shop.faults() == []
        assert self.problems == []


@pytest.mark.parametrize("steps", [10, 40])
def test_the_runtime_is_as_its_model(shop, steps):
    """Registering, choosing, swapping, failing, using, leasing and rolling back, in orders nobody thought of."""

    class Bound(Machine):
        Workshop = type(shop)

    few = settings(
        max_examples=30,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Bound, settings=few)
