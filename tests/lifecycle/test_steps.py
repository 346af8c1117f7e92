"""The steps of an operation, one after another: what each does, and what is left when it fails."""

import asyncio
import threading

import attrs
import pytest
from oneiric_hookspecs import (
    ActivationTimeout,
    Busy,
    Candidate,
    Empty,
    FactoryError,
    Health,
    HealthRejected,
    Key,
    NoCandidate,
    NothingBefore,
    Objection,
    Permanent,
    PluginError,
    RolledBack,
    SelectionUnsatisfied,
    Source,
    Vetoed,
    hookimpl,
)

from oneiric.testing.workshop import failing, sleeping
from oneiric.testing.world import World

A = Key.of("adapter", "a")
CACHE = Key.of("adapter", "cache")


def first_line(error):
    return str(error).splitlines()[0]


async def with_old(world):
    """``old`` serves."""
    world.add(A, "old")
    await world.use(A)


def outcome(world):
    """What is to be seen of the slot after a failure: who serves, in which phase, what was made and is open."""
    status = world.status(A)
    return {
        "serves": world.serves(A),
        "phase": status.phase,
        "open": [product.provider for product in world.shop.open],
        "last_error": status.last_error,
    }


def expected(error, serves="old"):
    return {
        "serves": serves,
        "phase": "ready" if serves else "failed",
        "open": [serves] if serves else [],
        "last_error": first_line(error),
    }


# --- the way it goes ------------------------------------------------------------------------------------------------


def test_steps_of_a_first_activation(run):
    """A first activation passes every step by its name, in order, and says so in its report."""

    async def main():
        async with World() as world:
            world.add(A, "only")
            return await world.swap(A)

    report = run(main)

    assert (report.outcome, report.old, report.new, report.gap_ms) == ("activated", None, "only", 0.0)
    assert list(report.steps) == (
        [
            "decide",
            "needs",
            "lock",
            "recheck",
            "load",
            "create",
            "warm",
            "check",
            "commit",
            "confirm",
            "finalize",
        ]
    )


def test_steps_take_the_time_they_take(run):
    """The report says how many milliseconds each step took."""

    async def main():
        async with World() as world:
            world.add(A, "slow", make=sleeping(2), probe=sleeping(0.5))
            return await world.swap(A)

    report = run(main)

    assert {name: spent for name, spent in report.steps.items() if spent} == {
        "create": 2000.0,
        "warm": 500.0,
        "confirm": 500.0,
    }


def test_a_swap_retires_the_old_one(run):
    """Without probation the old one is closed as soon as the new one is final; ``retired()`` says how."""

    async def main():
        async with World() as world:
            await with_old(world)
            world.add(A, "new")
            report = await world.swap(A, "new")
            retirement = await report.retired()
            assert world.shop.log == ["make old/1", "make new/2", "close old/1"]
            return report, retirement

    report, retirement = run(main)

    assert (report.outcome, report.old, report.new) == ("swapped", "old", "new")
    assert (retirement.provider, retirement.ending, retirement.forced) == ("old", "closed", 0)


def test_the_old_one_is_open_until_the_new_one_is_confirmed(run):
    """Nothing is closed before the judges of the confirming step have spoken."""
    seen = []

    class Looks:
        @hookimpl
        async def oneiric_check_swap(self, new, old):
            seen.append(("check", new.state, old and (old.state, old.instance.closed)))

        @hookimpl
        async def oneiric_check_bound(self, new, old):
            await asyncio.sleep(1)
            seen.append(("bound", new.state, old and (old.state, old.instance.closed)))

    async def main():
        async with World(plugins=[Looks()]) as world:
            await with_old(world)
            world.add(A, "new")
            await world.swap(A, "new")

    run(main)

    assert seen[2:] == [("check", "standby", ("active", False)), ("bound", "active", ("standby", False))]


def test_users_reach_the_new_one_while_it_is_confirmed(run):
    """After the commit new leases are of the new one; those before it keep what they have."""
    seen = []

    class Looks:
        @hookimpl
        async def oneiric_check_bound(self, new):
            if new.candidate.provider == "new":
                seen.append(world.serves(A))

    async def main():
        nonlocal world
        async with World(plugins=[Looks()]) as world:
            await with_old(world)
            world.add(A, "new")
            async with world.runtime.use(*A) as product:
                await world.swap(A, "new")
                seen.append(product.use())

    world = None
    run(main)

    assert seen == ["new", "old"]


# --- step 1: decide ---------------------------------------------------------------------------------------------------


def test_an_unknown_provider(run):
    """A provider that nobody registered is named, with the nearest; nothing changes."""

    async def main():
        async with World() as world:
            await with_old(world)
            with pytest.raises(SelectionUnsatisfied) as raised:
                await world.swap(A, "olf")
            assert outcome(world) == expected(raised.value)
            return str(raised.value)

    assert run(main).splitlines()[:2] == [
        "no candidate fills adapter:a with provider 'olf' (set by the call)",
        "  did you mean 'old'?",
    ]


def test_an_unknown_key(run):
    """A key that nobody registered for leaves no slot behind."""

    async def main():
        async with World() as world:
            with pytest.raises(NoCandidate, match="did you mean adapter:cache"):
                await world.swap(Key.of("adapter", "cach"))
            with pytest.raises(NoCandidate):
                await world.use(Key.of("adapter", "cach"))
            return world.runtime.status().slots

    assert run(main) == ()


def test_unchanged(run):
    """What is bound already is not built again."""

    async def main():
        async with World() as world:
            await with_old(world)
            report = await world.swap(A, "old")
            return report.outcome, report.old, report.new, len(world.shop.made), await report.retired()

    assert run(main) == ("unchanged", "old", "old", 1, None)


def test_reload(run):
    """``reload`` builds the same fingerprint again."""

    async def main():
        async with World() as world:
            await with_old(world)
            report = await world.swap(A, "old", reload=True)
            await report.retired()
            return report.outcome, list(world.shop.log)

    assert run(main) == ("swapped", ["make old/1", "make old/2", "close old/1"])


def test_another_version_is_a_change(run):
    """The version is part of the fingerprint."""

    async def main():
        async with World() as world:
            world.add(A, "old", version="1")
            await world.use(A)
            world.add(A, "old", version="2")
            return (await world.swap(A)).outcome

    assert run(main) == "swapped"


@attrs.frozen
class Size:
    size: int = 1


def test_other_settings_are_a_change(run):
    """The settings as written are part of the fingerprint; ``apply`` swaps what they change, and nothing else."""

    async def main():
        async with World({"adapters": {"settings": {"cache": {"memory": {"max_items": 5}}}}}) as world:
            await with_old(world)
            async with world.runtime.use(*CACHE):
                pass
            reports = await world.runtime.apply(
                {"adapters": {"settings": {"cache": {"memory": {"max_items": 6}}}}}
            )
            again = await world.runtime.apply(
                {"adapters": {"settings": {"cache": {"memory": {"max_items": 6}}}}}
            )
            return [(report.key, report.outcome) for report in reports], again

    assert run(main) == ([(CACHE, "swapped")], [])


def test_an_operators_choice_is_a_pin(run):
    """A swap to a provider pins it; a swap without one drops the pin and follows the order."""

    async def main():
        async with World() as world:
            world.add(A, "weak")
            world.add(A, "strong", priority=5)
            await world.use(A)
            await world.swap(A, "weak")
            pinned = world.runtime.resolve(*A).provider
            report = await world.swap(A)
            return pinned, report.new, world.runtime.resolve(*A).provider

    assert run(main) == ("weak", "strong", "strong")


def test_a_failed_swap_pins_nothing(run):
    """A choice that did not come about is no pin."""

    async def main():
        async with World() as world:
            await with_old(world)
            world.add(A, "bad", make=failing(ValueError("no")), priority=-5)
            with pytest.raises(FactoryError):
                await world.swap(A, "bad")
            return world.runtime.resolve(*A).provider

    assert run(main) == "old"


# --- step 3 and 4: lock, recheck --------------------------------------------------------------------------------------


def test_a_slot_that_is_not_free_in_time(run):
    """Who waits for the slot too long is told who has it."""

    async def main():
        async with World({"lifecycle": {"busy_timeout": 3}}) as world:
            await with_old(world)
            world.add(A, "slow", make=sleeping(10))
            slow = asyncio.create_task(world.swap(A, "slow"))
            await world.turn(20)
            with pytest.raises(Busy) as raised:
                await world.swap(A, "old", reload=True)
            assert world.serves(A) == "old"
            await slow
            return str(raised.value)

    text = run(main)

    assert text.startswith("adapter:a was busy for 3 s\n  held by <op")
    assert "operator adapter:a create" in text


def test_operations_of_one_slot_are_served_in_order(run):
    """First come, first served."""

    async def main():
        async with World() as world:
            await with_old(world)
            for name in "pqr":
                world.add(A, name, make=sleeping(1))
            reports = await asyncio.gather(*(world.swap(A, name) for name in "pqr"))
            return [(report.old, report.new) for report in reports]

    assert run(main) == [("old", "p"), ("p", "q"), ("q", "r")]


def test_a_winner_that_changes_while_waiting_for_the_lock(run):
    """What is decided before the lock is decided again under it; the better one is built, once."""

    async def main():
        async with World() as world:
            await with_old(world)
            world.add(A, "slow", make=sleeping(5), priority=1)
            world.add(A, "better", priority=-5)
            slow = asyncio.create_task(world.swap(A, "slow"))
            await world.turn(20)
            waiting = asyncio.create_task(world.swap(A))
            await asyncio.sleep(1)
            world.add(A, "best", priority=9)
            await slow
            report = await waiting
            return report.new, [str(product) for product in world.shop.made]

    assert run(main) == ("best", ["old/1", "slow/2", "best/3"])


def test_too_many_generations(run):
    """Not more than so many generations of a key are open at once; the next waits for one to go, and then is told."""

    async def main():
        async with World(
            {"lifecycle": {"max_generations": 2, "busy_timeout": 5, "drain_timeout": 50}}
        ) as world:
            await with_old(world)
            world.add(A, "new")
            world.add(A, "third")
            async with world.runtime.use(*A):
                await world.swap(A, "new")
                with pytest.raises(Busy, match="was busy for 5 s"):
                    await world.swap(A, "third")
                waiting = asyncio.create_task(world.swap(A, "third"))
                await asyncio.sleep(1)
                assert not waiting.done()
            return (await waiting).outcome

    assert run(main) == "swapped"


# --- step 5: load ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [True, False], ids=["swap", "first"])
def test_refused_before_it_is_loaded(run, before):
    """``oneiric_check_candidate`` refuses a candidate before any of its code runs."""

    class Refuses:
        @hookimpl
        def oneiric_check_candidate(self, candidate):
            if candidate.provider == "bad":
                yield Objection("it was recalled")

    async def main():
        async with World(plugins=[Refuses()]) as world:
            if before:
                await with_old(world)
            candidate = world.add(A, "bad")
            with pytest.raises(Vetoed) as raised:
                await world.swap(A, "bad")
            assert candidate.factory.calls == 0
            assert outcome(world) == expected(raised.value, "old" if before else None)
            return str(raised.value).splitlines()

    assert run(main) == [
        "adapter:a: bad was refused at step load: Refuses objects: it was recalled",
        f"  still serving: {'old' if before else 'nothing'}",
    ]


def test_a_factory_that_cannot_be_imported(run):
    """An import that fails is permanent, and says where."""

    async def main():
        async with World() as world:
            await with_old(world)
            world.runtime.register(Candidate(A, "bad", "no_such_module:make"))
            with pytest.raises(Permanent) as raised:
                await world.swap(A, "bad")
            assert outcome(world) == expected(raised.value)
            return first_line(raised.value)

    assert run(main).startswith(
        "adapter:a: bad did not come up at step load: the factory 'no_such_module:make' cannot be imported"
    )


def test_settings_that_do_not_fit(run):
    """Settings that a candidate registered later does not take are permanent, with the place."""

    async def main():
        async with World() as world:
            await with_old(world)

            async def make(settings):
                raise AssertionError("never called")

            @attrs.frozen
            class Needy:
                url: str

            world.runtime.register(Candidate(A, "bad", make, settings_class=Needy))
            with pytest.raises(Permanent) as raised:
                await world.swap(A, "bad")
            assert outcome(world) == expected(raised.value)
            return first_line(raised.value)

    text = run(main)

    assert "its settings do not fit" in text
    assert "adapters.settings.a.bad" in text
    assert "url" in text


def test_an_import_that_hangs(run):
    """Importing happens in a thread, under the create timeout."""
    release = threading.Event()

    class Loads:
        @hookimpl
        def oneiric_load(self, candidate):
            if candidate.factory == "it:hangs":
                release.wait(20)
                return dict
            return None

    async def main():
        async with World({"lifecycle": {"create_timeout": 3}}, [Loads()]) as world:
            await with_old(world)
            world.runtime.register(Candidate(A, "bad", "it:hangs"))
            with pytest.raises(ActivationTimeout) as raised:
                await world.swap(A, "bad")
            assert outcome(world) == expected(raised.value)
            release.set()
            return first_line(raised.value)

    assert run(main) == "adapter:a: bad did not come up at step load: loading 'it:hangs' took longer than 3 s"


def test_a_timeout_of_the_import_itself(run):
    """A TimeoutError that importing raises is its own error, and not ours, however soon it comes."""

    class Loads:
        @hookimpl
        def oneiric_load(self, candidate):
            if candidate.factory == "it:waits":
                raise TimeoutError("the licence server")

    async def main():
        async with World(plugins=[Loads()]) as world:
            await with_old(world)
            world.runtime.register(Candidate(A, "bad", "it:waits"))
            with pytest.raises(Permanent) as raised:
                await world.swap(A, "bad")
            assert outcome(world) == expected(raised.value)
            return first_line(raised.value)

    assert run(main) == (
        "adapter:a: bad did not come up at step load: loading its factory failed: TimeoutError: the licence server"
    )


# --- step 6: create -----------------------------------------------------------------------------------------------------


class Speechless(Exception):
    def __str__(self):
        raise ValueError("no text")


def cancelled():
    return asyncio.CancelledError()


FAILURES = {
    "an error": (ValueError("no"), "ValueError: no"),
    "an error without a text": (ValueError(), "ValueError"),
    "its own timeout": (TimeoutError("the driver's"), "TimeoutError: the driver's"),
    "no memory": (MemoryError(), "MemoryError"),
    "an error that cannot be shown": (Speechless(), "Speechless: (its text cannot be shown)"),
    "a cancellation of its own": (
        asyncio.CancelledError(),
        "it cancelled itself: a CancelledError that nobody asked for",
    ),
    "the end of an iteration": (StopIteration(3), "RuntimeError: "),
    "one of ours": (FactoryError("as it says"), "as it says"),
}


@pytest.mark.parametrize("form", ["async", "thread"])
@pytest.mark.parametrize("what", FAILURES)
def test_a_factory_that_fails(run, what, form):
    """Whatever a factory raises is a FactoryError with its reason; the old one serves, and a later try may do better."""
    error, reason = FAILURES[what]

    async def main():
        async with World() as world:
            await with_old(world)
            candidate = world.add(A, "bad", form, make=failing(error))
            with pytest.raises(FactoryError) as raised:
                await world.swap(A, "bad")
            assert outcome(world) == expected(raised.value)
            assert world.listener.words()[-1] in ("failed", "retired")
            candidate.factory.make = None
            assert (await world.swap(A, "bad")).outcome == "swapped"
            return raised.value

    raised = run(main)

    assert first_line(raised).startswith(f"adapter:a: bad did not come up at step create: {reason}")
    assert (raised.key, raised.provider, raised.step, raised.serving) == (A, "bad", "create", "old")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("form", ["async", "thread"])
def test_an_interrupt_in_a_factory_ends_the_process(error, form):
    """KeyboardInterrupt and SystemExit are nobody's failure: they end the loop, and the generation is marked."""
    worlds = []

    async def main():
        world = World(each_step=False)
        worlds.append(world)
        async with world:
            world.add(A, "bad", form, make=failing(error()))
            await world.use(A)

    with pytest.raises(error):
        asyncio.run(main())

    assert worlds[0].shop.made == []


def test_a_factory_that_gives_nothing(run):
    """A product of None is no product."""

    async def nothing():
        return None

    async def main():
        async with World() as world:
            await with_old(world)
            world.runtime.register(Candidate(A, "bad", nothing))
            with pytest.raises(FactoryError) as raised:
                await world.swap(A, "bad")
            assert outcome(world) == expected(raised.value)
            return first_line(raised.value)

    assert run(main) == "adapter:a: bad did not come up at step create: the factory returned None"


def test_a_factory_that_wants_the_loop_is_told_how(run):
    """A synchronous factory that needs a running loop gets a hint."""

    def make():
        return asyncio.get_running_loop()

    async def main():
        async with World() as world:
            world.runtime.register(Candidate(A, "bad", make))
            with pytest.raises(FactoryError) as raised:
                await world.use(A)
            return str(raised.value)

    assert 'make the factory async, or build it with Build(mode="inline")' in run(main)


def test_a_factory_that_takes_too_long(run):
    """The create timeout is ours, and named; what it was doing is cancelled."""

    async def main():
        async with World({"lifecycle": {"create_timeout": 3}}) as world:
            await with_old(world)
            world.add(A, "bad", make=sleeping(10))
            with pytest.raises(ActivationTimeout) as raised:
                await world.swap(A, "bad")
            assert outcome(world) == expected(raised.value)
            return first_line(raised.value)

    assert run(main) == (
        "adapter:a: bad did not come up at step create: making and starting it took longer than 3 s"
    )


def test_the_callers_timeout_holds_for_every_step(run, clock):
    """A swap with a timeout gives every step what is left of it."""

    async def main():
        async with World() as world:
            await with_old(world)
            world.add(A, "bad", make=sleeping(4), probe=lambda _: False)
            with pytest.raises(HealthRejected):
                await world.swap(A, "bad", timeout=5)
            return clock.time()

    assert run(main) == 5.0


def test_the_product_sees_the_runtimes_context_not_the_requests(run):
    """A context variable of the request that caused an activation is not seen by what outlives the request."""
    from contextvars import ContextVar

    tenant = ContextVar("tenant", default="nobody")
    seen = []

    async def main():
        tenant.set("the application")
        async with World() as world:
            for form in ("async", "thread"):
                world.add(A, form, form, make=lambda _: seen.append(tenant.get()))

            async def request():
                tenant.set("a customer")
                await world.swap(A, "async")
                await world.swap(A, "thread")

            await asyncio.create_task(request())

    run(main)

    assert seen == ["the application", "the application"]


# --- step 7: start ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["context", "thread context", "start"])
def test_a_product_that_does_not_start(run, form):
    """A product that fails while it is entered or started is disposed of."""

    async def main():
        async with World() as world:
            await with_old(world)
            world.add(A, "bad", form, enter=failing(ValueError("no")))
            with pytest.raises(FactoryError) as raised:
                await world.swap(A, "bad")
            await world.turn(20)
            await asyncio.sleep(0.01)
            assert outcome(world) == expected(raised.value)
            return first_line(raised.value), [product.entries for product in world.shop.of("bad")]

    assert run(main) == ("adapter:a: bad did not come up at step create: ValueError: no", [1])


@pytest.mark.parametrize("form", ["context", "thread context", "start", "async"])
def test_a_product_is_started_and_ended_once(run, form):
    """Context managers are entered and left, by one task; ``start`` is called where there is one."""

    async def main():
        async with World() as world:
            world.add(A, "it", form)
            await world.use(A)
        return [(product.entries, product.closes) for product in world.shop.made]

    assert run(main) == [(0 if form == "async" else 1, 1)]


def test_starting_takes_too_long(run):
    """Starting is under the create timeout, too."""

    async def main():
        async with World({"lifecycle": {"create_timeout": 3}}) as world:
            await with_old(world)
            world.add(A, "bad", "context", enter=sleeping(10))
            with pytest.raises(ActivationTimeout) as raised:
                await world.swap(A, "bad")
            await world.turn(5)
            assert outcome(world) == expected(raised.value)

    run(main)


def test_an_instance_that_breaks_the_contract(run):
    """An instance that lacks what its domain wants is refused, and told what it lacks."""

    async def main():
        async with World() as world:
            world.add(CACHE, "bad")
            with pytest.raises(FactoryError) as raised:
                await world.swap(CACHE, "bad")
            await world.turn(5)
            assert world.shop.open == []
            return first_line(raised.value)

    assert run(main) == (
        "adapter:cache: bad did not come up at step create: its product is no Cache: "
        "_AsyncClose lacks clear, delete, get, set"
    )


# --- step 8: warm ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (False, "its check answers no"),
        ("failed", "its health is failed"),
        ("unknown", "its health is unknown"),
        (Health("failed", "no disk"), "no disk"),
        ({"status": "failed", "reason": "no disk"}, "no disk"),
        (("failed", "no disk"), "no disk"),
        (0, "its check answers 0, which says nothing about health"),
        (1, "its check answers 1, which says nothing about health"),
        ("fine", "its check answers 'fine', which says nothing about health"),
        ({}, "its check answers {}, which says nothing about health"),
        ({"status": ["ok"]}, "its check answers {'status': ['ok']}, which says nothing about health"),
        (("ok",), "its check answers ('ok',), which says nothing about health"),
        (ValueError("no"), "ValueError: no"),
        (TimeoutError("the driver's"), "TimeoutError: the driver's"),
        (asyncio.CancelledError(), "its check cancelled itself"),
        (Speechless(), "Speechless: (its text cannot be shown)"),
    ],
    ids=repr,
)
def test_a_product_that_is_not_well(run, answer, reason):
    """Anything but well does not pass; unknown does not either."""

    def probe(_):
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def main():
        async with World({"lifecycle": {"startup_timeout": 3}}) as world:
            await with_old(world)
            world.add(A, "bad", probe=probe)
            with pytest.raises(HealthRejected) as raised:
                await world.swap(A, "bad")
            assert outcome(world) == expected(raised.value)
            return raised.value

    raised = run(main)

    assert first_line(raised) == f"adapter:a: bad did not come up at step warm: {reason}"
    assert (raised.health.kind, raised.health.status) == (
        "startup",
        "unknown" if "says nothing" in reason or "unknown" in reason else "failed",
    )


@pytest.mark.parametrize(
    "answer", [None, True, "ok", "degraded", Health("degraded"), {"status": "ok"}, ("ok", "fine")], ids=repr
)
def test_a_product_that_is_well(run, answer):
    """Ok and degraded pass, in every form an answer may have."""

    async def main():
        async with World() as world:
            world.add(A, "good", probe=lambda _: answer)
            return (await world.swap(A)).outcome

    assert run(main) == "activated"


class Odd(dict):
    """A mapping that does not even like to be asked."""

    def get(self, *_):
        raise ValueError("no")


def test_an_answer_that_raises_when_looked_at(run):
    """An answer that cannot be read is unknown."""

    async def main():
        async with World({"lifecycle": {"startup_timeout": 1}}) as world:
            world.add(A, "bad", probe=lambda _: Odd(status="ok"))
            with pytest.raises(HealthRejected) as raised:
                await world.use(A)
            return raised.value.health.status

    assert run(main) == "unknown"


def test_a_product_that_warms_up(run, clock):
    """The startup probe is asked again until it passes."""
    answers = [False, False, True]

    async def main():
        async with World() as world:
            world.add(A, "slow", probe=lambda _: answers.pop(0) if answers else True)
            await world.swap(A)
            return clock.time()

    assert run(main) == 1.0


def test_a_probe_that_does_not_answer(run, clock):
    """A probe without an answer is a failed one; all of them together have the startup timeout."""

    async def main():
        async with World({"lifecycle": {"startup_timeout": 7}}) as world:
            await with_old(world)
            world.add(A, "bad", probe=sleeping(100))
            with pytest.raises(HealthRejected, match="no answer in") as raised:
                await world.swap(A, "bad")
            assert outcome(world) == expected(raised.value)
            return clock.time()

    assert run(main) == 7.0


def test_accept_unhealthy(run, clock):
    """``accept_unhealthy`` asks once, and binds it all the same; its health is known."""

    async def main():
        async with World(accepted=True) as world:
            await with_old(world)
            world.add(A, "ill", probe=lambda _: False)
            report = await world.swap(A, "ill", accept_unhealthy=True)
            return report.outcome, world.status(A).bound.health.status, clock.time()

    assert run(main) == ("swapped", "failed", 0.0)


def test_accept_unhealthy_swallows_no_error(run):
    """A factory that fails fails all the same."""

    async def main():
        async with World(accepted=True) as world:
            await with_old(world)
            world.add(A, "bad", make=failing(ValueError("no")))
            with pytest.raises(FactoryError):
                await world.swap(A, "bad", accept_unhealthy=True, reload=True, override=True)

    run(main)


# --- step 9: check ------------------------------------------------------------------------------------------------------


class Judge:
    """Judges as it is told, at the step it is told."""

    def __init__(self, step, how):
        self.step, self.how = step, how

    async def judge(self, new, step):
        if step != self.step or new.candidate.provider != "bad":
            return None
        if self.how == "objects":
            return [Objection("not today")]
        if self.how == "hangs":
            await asyncio.sleep(1000)
        if self.how == "raises":
            raise ValueError("broken")
        raise asyncio.CancelledError

    @hookimpl
    async def oneiric_check_swap(self, new):
        return await self.judge(new, "check")

    @hookimpl
    async def oneiric_check_bound(self, new):
        return await self.judge(new, "confirm")


VETOES = {
    "objects": "Judge objects: not today",
    "raises": "Judge objects: could not judge: ValueError: broken",
    "hangs": "Judge objects: could not judge: TimeoutError: took longer than 5 s",
    "cancels": "Judge objects: could not judge: CancelledError",
}


@pytest.mark.parametrize("how", VETOES)
def test_a_veto(run, how):
    """A judge that objects, fails, hangs or cancels itself refuses what it was asked about."""

    async def main():
        async with World(plugins=[Judge("check", how)]) as world:
            await with_old(world)
            world.add(A, "bad")
            with pytest.raises(Vetoed) as raised:
                await world.swap(A, "bad")
            await world.turn(5)
            assert outcome(world) == expected(raised.value)
            return first_line(raised.value)

    assert run(main) == f"adapter:a: bad was refused at step check: {VETOES[how]}"


# --- step 11: confirm ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [True, False], ids=["swap", "first"])
@pytest.mark.parametrize("how", VETOES)
def test_a_veto_after_the_commit(run, how, before):
    """An objection after the commit takes it back: the old one, never closed, serves again."""

    async def main():
        async with World(plugins=[Judge("confirm", how)]) as world:
            if before:
                await with_old(world)
            world.add(A, "bad")
            with pytest.raises(RolledBack) as raised:
                await world.swap(A, "bad")
            await world.turn(5)
            assert outcome(world) == expected(raised.value, "old" if before else None)
            assert [product.closes for product in world.shop.of("old")] == [0] * before
            assert "rolled back" in world.listener.words()
            assert "failed" not in world.listener.words()
            return str(raised.value).splitlines(), world.status(A).rollbacks

    text, rollbacks = run(main)

    assert text == [
        f"adapter:a: bad was rolled back: {VETOES[how]}",
        f"  still serving: {'old' if before else 'nothing'}",
    ]
    assert rollbacks == 1


def test_a_probe_that_fails_after_the_commit(run):
    """One readiness probe after the commit decides, too."""

    async def main():
        async with World() as world:
            await with_old(world)
            answers = iter([True, False])
            world.add(A, "bad", probe=lambda _: next(answers))
            with pytest.raises(RolledBack, match="its check answers no") as raised:
                await world.swap(A, "bad")
            await world.turn(5)
            assert outcome(world) == expected(raised.value)

    run(main)


def test_users_of_what_is_rolled_back_finish(run):
    """Who leased the new one before it was taken back finishes with it."""
    product = None

    class Judges:
        @hookimpl
        async def oneiric_check_bound(self, new):
            nonlocal product
            if new.candidate.provider == "bad":
                lease = world.runtime.lease(*A)
                product = lease.__enter__()
                asyncio.get_running_loop().call_later(5, lease.__exit__, None, None, None)
                return [Objection("no")]
            return None

    async def main():
        nonlocal world
        async with World(plugins=[Judges()]) as world:
            await with_old(world)
            world.add(A, "bad")
            with pytest.raises(RolledBack):
                await world.swap(A, "bad")
            await asyncio.sleep(4)
            assert (product.closed, world.serves(A)) == (False, "old")
            await asyncio.sleep(2)
            assert product.closed

    world = None
    run(main)


# --- step 12 and after ------------------------------------------------------------------------------------------------


def test_success_clears_the_last_error(run):
    """``last_error`` is the last failure since the last success."""

    async def main():
        async with World() as world:
            await with_old(world)
            world.add(A, "bad", make=failing(ValueError("no")))
            with pytest.raises(FactoryError):
                await world.swap(A, "bad")
            before = world.status(A).last_error
            await world.swap(A, "old", reload=True)
            return bool(before), world.status(A).last_error

    assert run(main) == (True, "")


def test_errors_tell_the_operation(run):
    """An activation error names its operation, and observers hear of it with the same id."""

    async def main():
        async with World() as world:
            world.add(A, "bad", make=failing(ValueError("no")))
            with pytest.raises(FactoryError) as raised:
                await world.use(A)
            await world.at_rest()
            return raised.value.operation, [told[3] for told in world.listener.heard if told[0] == "failed"]

    operation, told = run(main)

    assert told == [operation]


def test_an_error_of_a_plugin_that_performs(run):
    """What ``oneiric_activate`` raises is a FactoryError."""

    class Builds:
        @hookimpl
        def oneiric_activate(self, candidate):
            if candidate.provider == "bad":
                raise LookupError("no pool")

    async def main():
        async with World(plugins=[Builds()]) as world:
            await with_old(world)
            world.add(A, "bad")
            with pytest.raises(FactoryError) as raised:
                await world.swap(A, "bad")
            assert outcome(world) == expected(raised.value)
            return first_line(raised.value)

    assert run(main) == "adapter:a: bad did not come up at step create: LookupError: no pool"


def test_a_malformed_candidate_is_not_registered(run):
    """What cannot be registered is refused as a whole, and what runs goes on."""

    async def main():
        async with World() as world:
            await with_old(world)
            good = world.shop.candidate(A, "good")
            with pytest.raises(PluginError):
                world.runtime.register(good, world.shop.candidate(Key.of("nonsense", "a"), "bad"))
            return [record.candidate.provider for record in world.runtime.snapshot.records(A)]

    assert run(main) == ["old"]


def test_what_is_withdrawn_goes_on_serving(run):
    """Withdrawing a candidate closes nothing; the next swap follows the order."""

    async def main():
        async with World() as world:
            await with_old(world)
            world.runtime.withdraw()
            assert world.serves(A) == "old"
            with pytest.raises(NoCandidate):
                await world.swap(A)
            assert world.serves(A) == "old"

    run(main)


def test_a_lease_of_nothing(run):
    """A synchronous lease does not activate, and says how it is done."""

    async def main():
        async with World() as world:
            world.add(A, "it")
            with pytest.raises(Empty) as raised, world.runtime.lease(*A):
                pass
            return str(raised.value)

    assert run(main) == ('adapter:a has nothing bound\n  async with runtime.use("adapter", "a") activates it')


def test_rollback_on_demand(run):
    """``rollback`` swaps back to the provider before."""

    async def main():
        async with World() as world:
            await with_old(world)
            with pytest.raises(NothingBefore, match="nothing was bound before"):
                await world.runtime.rollback(*A)
            world.add(A, "new")
            await world.swap(A, "new")
            report = await world.runtime.rollback(*A)
            return report.old, report.new, world.serves(A)

    assert run(main) == ("new", "old", "old")


def test_two_sources_one_provider(run):
    """Candidates of one provider from two sources are two, and fingerprints tell them apart."""

    async def main():
        async with World() as world:
            world.add(A, "same", source=Source("one"))
            await world.use(A)
            world.add(A, "same", source=Source("two"))
            return (await world.swap(A)).outcome

    assert run(main) == "swapped"
