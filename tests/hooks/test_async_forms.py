"""What a call of an async hook does: one after another, awaited, under a time limit."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

import pytest
from oneiric_hookspecs import Objection, PluginError, hookimpl, judges, observes, performs

from oneiric.hooks import Answer, HookManager


@performs(Callable)
async def shop_pay(basket: str):
    """Give what pays."""


@judges
async def shop_check(basket: str) -> Iterable[Objection] | None:
    """Object."""


@observes
async def shop_sold(basket: str) -> None:
    """Learn of a sale."""


SPECS = [shop_pay, shop_check, shop_sold]
EMPTY = {shop_pay: None, shop_check: [], shop_sold: None}


async def at_once(basket):
    raise ValueError("out of stock")


async def late(basket):
    await asyncio.sleep(1)
    raise ValueError("out of stock")


async def hangs(basket):
    await asyncio.Event().wait()


async def hangs_on(basket):
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


async def own_timeout(basket):
    async with asyncio.timeout(0.5):
        await asyncio.Event().wait()


async def cancels(basket):
    raise asyncio.CancelledError


async def seven(basket):
    return 7


def sync_seven(basket):
    return 7


def sync_raises(basket):
    raise ValueError("out of stock")


def sync_cancels(basket):
    raise asyncio.CancelledError


FAULTS = {
    "raises at once": (at_once, "raised", "ValueError: out of stock"),
    "raises late": (late, "raised", "ValueError: out of stock"),
    "sync, raises": (sync_raises, "raised", "ValueError: out of stock"),
    "hangs": (hangs, "timeout", "TimeoutError: took longer than 5 s"),
    "hangs, and hides it": (hangs_on, "timeout", "TimeoutError: took longer than 5 s"),
    "a timeout of its own": (own_timeout, "raised", "TimeoutError"),
    "cancels": (cancels, "cancelled", "CancelledError"),
    "sync, cancels": (sync_cancels, "cancelled", "CancelledError"),
}


def plugin(**functions):
    """A plugin with these implementations."""
    made = type("Plugin", (), {})()
    for name, function in functions.items():
        setattr(made, name, hookimpl(specname=f"shop_{name}")(function))
    return made


@pytest.fixture
def manager(clock):
    """A manager of the specifications above, in virtual time."""
    manager = HookManager("shop", clock=clock)
    manager.add_specs(SPECS)
    return manager


def told(manager):
    """What is remembered of faults: who, where, how."""
    return [(fault.plugin, fault.hook, fault.kind) for fault in manager.faults]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_without_plugins_nothing_comes_of_awaiting(manager, run, spec):
    """A hook that nobody implements can be awaited, and gives the empty answer of its form."""

    async def main():
        return await manager[spec]("b")

    assert run(main) == EMPTY[spec]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_wrong_call_fails_before_it_is_awaited(manager, spec):
    """As with any coroutine function, a wrong argument is a TypeError of the call itself."""
    manager.register(plugin(**{spec.name.removeprefix("shop_"): lambda basket: None}))
    with pytest.raises(TypeError, match="basket"):
        manager[spec]()


# --- observes ----------------------------------------------------------------------------------------------------


def test_observers_run_one_after_another(manager, run):
    """Newest first, sync ones among async ones; each begins when the one before it has ended."""
    seen = []

    async def slowly(basket):
        seen.append("begins")
        await asyncio.sleep(4)
        seen.append("ends")

    manager.register(plugin(sold=slowly), "old")
    manager.register(plugin(sold=lambda basket: seen.append("sync")), "middle")
    manager.register(plugin(sold=slowly), "new")

    assert run(manager[shop_sold]("b")) is None
    assert seen == ["begins", "ends", "sync", "begins", "ends"]
    assert manager.faults == ()


@pytest.mark.parametrize("case", FAULTS)
def test_an_observer_that_fails_keeps_nobody_from_learning(manager, run, case):
    """It is told who failed and how, and the others are told of the sale."""
    function, kind, error = FAULTS[case]
    seen = []
    manager.register(plugin(sold=lambda basket: seen.extend([basket])), "old")
    manager.register(plugin(sold=function), "bad")

    faults = run(manager[shop_sold].notify("b"))
    assert [(fault.plugin, fault.kind, str(fault)) for fault in faults] == [
        ("bad", kind, f"bad: shop_sold: {error}")
    ]
    assert seen == ["b"]


@pytest.mark.parametrize("function", [seven, sync_seven])
def test_an_observer_answers_nothing(manager, run, function):
    """An answer where none is allowed is a fault of type."""
    manager.register(plugin(sold=function), "bad")

    assert [str(fault) for fault in run(manager[shop_sold].notify("b"))] == [
        "bad: shop_sold: TypeError: answered 7 (int), not None"
    ]


def test_a_sync_observer_must_not_hold_the_loop(manager, run, clock):
    """Over 100 ms is a fault of kind slow; 100 ms are not."""
    manager.register(plugin(sold=lambda basket: clock.advance(0.1)), "quick")
    manager.register(plugin(sold=lambda basket: clock.advance(0.25)), "slow")

    faults = run(manager[shop_sold].notify("b"))
    assert [(fault.kind, str(fault)) for fault in faults] == [
        ("slow", "slow: shop_sold: TimeoutError: held the event loop for 250 ms")
    ]


def test_an_async_observer_may_take_its_time(manager, run):
    """What awaits does not hold the loop, so up to the limit it is not slow."""

    async def takes_its_time(basket):
        await asyncio.sleep(4.9)

    manager.register(plugin(sold=takes_its_time))
    assert run(manager[shop_sold].notify("b")) == []


def test_the_limit_is_the_managers(clock, run):
    """``hook_timeout`` is for each observer, not for all together."""
    manager = HookManager("shop", clock=clock, hook_timeout=0.5)
    manager.add_specs(SPECS)

    async def ends_in_time(basket):
        await asyncio.sleep(0.4)

    for name in "abc":
        manager.register(plugin(sold=ends_in_time), name)
    manager.register(plugin(sold=late), "late")

    assert [str(fault) for fault in run(manager[shop_sold].notify("b"))] == [
        "late: shop_sold: TimeoutError: took longer than 0.5 s"
    ]
    assert clock.time() == pytest.approx(0.5 + 3 * 0.4)


# --- judges ------------------------------------------------------------------------------------------------------


async def grumbles(basket):
    await asyncio.sleep(1)
    yield Objection("too dear")
    yield Objection("too late")


async def objects(basket):
    await asyncio.sleep(1)
    return [Objection("too many")]


def sync_grumbles(basket):
    yield Objection("too heavy")


async def gives_a_generator(basket):
    return sync_grumbles(basket)


def test_judges_may_be_written_in_any_way(manager, run):
    """Coroutines, generators and async generators are all drained; each objection has its plugin."""
    for function in (gives_a_generator, grumbles, objects, sync_grumbles, lambda basket: None):
        manager.register(plugin(check=function), function.__name__)

    assert run(manager[shop_check]("b")) == [
        Objection("too heavy", "sync_grumbles"),
        Objection("too many", "objects"),
        Objection("too dear", "grumbles"),
        Objection("too late", "grumbles"),
        Objection("too heavy", "gives_a_generator"),
    ]
    assert run(manager[shop_check].answers("b"))[0] == Answer(
        "sync_grumbles", Objection("too heavy", "sync_grumbles")
    )


async def hangs_midway(basket):
    yield Objection("first")
    await asyncio.Event().wait()


async def says_no(basket):
    return "no"


async def yields_text(basket):
    yield "no"


JUDGED = {
    **FAULTS,
    "hangs midway": (hangs_midway, "timeout", "TimeoutError: took longer than 5 s"),
    "a text": (says_no, "type", "TypeError: answered 'no' (str), not an iterable of Objection"),
    "a yielded text": (yields_text, "type", "TypeError: answered 'no' (str), not an Objection"),
    "a number": (seven, "type", "TypeError: answered 7 (int), not an iterable of Objection"),
}


@pytest.mark.parametrize("case", JUDGED)
def test_an_async_judge_that_fails_objects(manager, run, case):
    """Every fault, a timeout among them, is an objection that names the plugin; however often."""
    function, kind, error = JUDGED[case]
    manager.register(plugin(check=objects), "good")
    manager.register(plugin(check=function), "bad")

    async def main():
        return [await manager[shop_check]("b") for _ in range(6)]

    expected = [Objection(f"could not judge: {error}", "bad"), Objection("too many", "good")]
    assert run(main) == [expected] * 6
    assert told(manager) == [("bad", "shop_check", kind)] * 6


def test_the_verdict_of_a_slow_judge_counts(manager, run, clock):
    """Holding the loop is recorded, and is no objection."""
    manager.register(plugin(check=lambda basket: clock.advance(1)), "slow")

    assert (run(manager[shop_check]("b")), told(manager)) == ([], [("slow", "shop_check", "slow")])


def test_a_judge_that_yields_slowly_is_slow_too(manager, run, clock):
    """The body of a generator is part of its answer, and of its time."""

    def slowly(basket):
        clock.advance(1)
        yield Objection("no")

    record = manager.register(plugin(check=slowly), "slow")
    assert (run(manager[shop_check]("b")), told(manager)) == (
        [Objection("no", "slow")],
        [("slow", "shop_check", "slow")],
    )
    assert record.timings["shop_check"].total == 1


# --- performs ----------------------------------------------------------------------------------------------------


def test_an_awaited_none_leaves_it_to_the_next(manager, run):
    """Not the coroutine counts, but what comes of it."""
    asked = []

    async def not_mine(basket):
        asked.append("new")

    async def mine(basket):
        await asyncio.sleep(60)  # a performer has the time of its caller
        return print

    manager.register(plugin(pay=lambda basket: 1 / 0), "old")
    manager.register(plugin(pay=mine), "middle")
    manager.register(plugin(pay=not_mine), "new")

    assert (run(manager[shop_pay]("b")), asked) == (print, ["new"])
    assert run(manager[shop_pay].answers("b")) == [Answer("middle", print)]


def test_a_sync_performer_of_an_async_hook(manager, run, clock):
    """It may; if it holds the loop, that is recorded, and its answer counts."""

    def slowly(basket):
        clock.advance(1)
        return print

    manager.register(plugin(pay=slowly), "slow")
    assert (run(manager[shop_pay]("b")), told(manager)) == (print, [("slow", "shop_pay", "slow")])


@pytest.mark.parametrize("function", [at_once, late, sync_raises])
def test_what_an_async_performer_raises_is_the_outcome(manager, run, function):
    """It passes unchanged, nobody else is asked, and it is no fault."""
    manager.register(plugin(pay=lambda basket: print), "old")
    manager.register(plugin(pay=function), "new")

    with pytest.raises(ValueError, match="out of stock"):
        run(manager[shop_pay]("b"))
    assert manager.faults == ()


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (seven, "type", "plugin new: shop_pay answered 7 (int), not a callable"),
        (cancels, "cancelled", "plugin new: shop_pay raised CancelledError by itself"),
        (sync_cancels, "cancelled", "plugin new: shop_pay raised CancelledError by itself"),
    ],
)
def test_an_async_performer_that_misbehaves_ends_the_call(manager, run, function, kind, message):
    """A wrong answer, or a cancellation that nobody asked for, is a PluginError that names the plugin."""
    manager.register(plugin(pay=lambda basket: print), "old")
    manager.register(plugin(pay=function), "new")

    with pytest.raises(PluginError) as caught:
        run(manager[shop_pay]("b"))
    assert (str(caught.value), told(manager)) == (message, [("new", "shop_pay", kind)])


# --- cancellation ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
@pytest.mark.parametrize("function", [hangs, hangs_on], ids=["passes it on", "swallows it"])
def test_a_real_cancellation_passes_through(manager, run, spec, function):
    """Who cancels the caller ends the call, even if a plugin swallows the cancellation; it is nobody's fault."""
    told_too = []
    manager.register(
        plugin(**{spec.name.removeprefix("shop_"): lambda basket: told_too.extend([basket])}), "old"
    )
    manager.register(plugin(**{spec.name.removeprefix("shop_"): function}), "new")

    async def main():
        call = asyncio.ensure_future(manager[spec]("b"))
        await asyncio.sleep(1)
        call.cancel()
        await asyncio.wait([call])
        return call.cancelled()

    assert (run(main), told_too, manager.faults) == (True, [], ())


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_an_interrupt_passes_through_an_async_hook(manager, run, spec):
    """SystemExit is nobody's fault."""

    async def leaves(basket):
        raise SystemExit(3)

    manager.register(plugin(**{spec.name.removeprefix("shop_"): leaves}))

    async def main():
        with pytest.raises(SystemExit):
            await manager[spec]("b")

    run(main)
    assert manager.faults == ()


def test_a_plugin_that_answers_with_a_task_is_awaited(manager, run):
    """Anything awaitable counts, not only what ``async def`` makes; the limit holds for it too."""

    def in_a_task(basket):
        return asyncio.ensure_future(hangs(basket))

    manager.register(plugin(sold=in_a_task), "p")
    assert [fault.kind for fault in run(manager[shop_sold].notify("b"))] == ["timeout"]
