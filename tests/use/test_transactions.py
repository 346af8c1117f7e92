"""Several keys changed together: all of them, or none."""

import asyncio
import itertools

import pytest
from oneiric_hookspecs import (
    Busy,
    DependencyCycle,
    DependencyFailed,
    FactoryError,
    HealthRejected,
    Key,
    Need,
    Objection,
    OneiricError,
    Permanent,
    Policies,
    Reentrant,
    RolledBack,
    SelectionUnsatisfied,
    Vetoed,
    hookimpl,
)

A, B, C = Key("adapter", "a"), Key("adapter", "b"), Key("adapter", "c")


def what_serves(runtime, *keys):
    """The providers that are bound; None where nothing is."""
    slots = [runtime.status().of(*key) for key in keys]
    return [None if slot is None or slot.bound is None else slot.bound.provider for slot in slots]


async def settle(runtime):
    """Let everything that goes on come to its end."""
    for _ in range(1000):
        await asyncio.sleep(0)
        if not runtime.status().operations:
            return


def pairs(shop, **more):
    """Two providers, old and new, of each of two keys; *more* is for the new ones: ``b={...}``."""
    return [
        shop.candidate(name, f"{name}-{age}", **(more.get(name, {}) if age == "new" else {}))
        for name in ("a", "b")
        for age in ("old", "new")
    ]


async def bind_old(runtime, *keys):
    for key in keys:
        await runtime.swap(*key, f"{key.name}-old")


def test_all_of_them_change(shop, run):
    """The reports are in the order in which the changes were asked for; each is chosen from now on."""

    async def main():
        async with shop.runtime(*pairs(shop)) as runtime:
            await bind_old(runtime, A, B)
            async with runtime.transaction(actor="me") as changes:
                changes.swap(*B, "b-new")
                changes.swap(*A, "a-new")
                before = what_serves(runtime, A, B)
            told = [(each.key, each.outcome, each.old, each.new) for each in changes.reports]
            ends = [(await each.retired()).ending for each in changes.reports]
            steps = [list(each.steps) for each in changes.reports]
            return before, told, what_serves(runtime, A, B), ends, steps, runtime.resolve(*A).provider

    before, told, after, ends, steps, resolved = run(main())
    assert before == ["a-old", "b-old"]
    assert told == [(B, "swapped", "b-old", "b-new"), (A, "swapped", "a-old", "a-new")]
    assert after == ["a-new", "b-new"]
    assert ends == ["closed", "closed"]
    assert steps[0] == steps[1]
    assert steps[0][-3:] == ["commit", "confirm", "finalize"]
    assert resolved == "a-new"
    assert shop.faults() == []


def test_nothing_to_change_is_nothing(shop, run):
    """An empty block does nothing, and one that asks for what is so says ``unchanged``."""

    async def main():
        async with shop.runtime(*pairs(shop)) as runtime:
            await bind_old(runtime, A, B)
            async with runtime.transaction() as nothing:
                pass
            async with runtime.transaction() as changes:
                changes.swap(*A, "a-old")
                changes.swap(*B, "b-new")
            return nothing.reports, [each.outcome for each in changes.reports], what_serves(runtime, A, B)

    assert run(main()) == ([], ["unchanged", "swapped"], ["a-old", "b-new"])
    assert len(shop.made) == 3
    assert shop.faults() == []


def test_an_exception_in_the_block_changes_nothing(shop, run):
    """What was asked for so far is forgotten."""

    async def main():
        async with shop.runtime(*pairs(shop)) as runtime:
            await bind_old(runtime, A, B)
            with pytest.raises(ZeroDivisionError):
                async with runtime.transaction() as changes:
                    changes.swap(*A, "a-new")
                    raise ZeroDivisionError
            return what_serves(runtime, A, B)

    assert run(main()) == ["a-old", "b-old"]
    assert len(shop.made) == 2


def fail(_):
    raise OSError("no route")


class Judges:
    """Objects to the new one of ``b``, at one of the two moments."""

    def __init__(self, when):
        self.when = when

    @hookimpl
    def oneiric_check_swap(self, new):
        return (
            [Objection("not today")] if (self.when, new.candidate.provider) == ("before", "b-new") else None
        )

    @hookimpl
    def oneiric_check_bound(self, new):
        return [Objection("not today")] if (self.when, new.candidate.provider) == ("after", "b-new") else None


def answers(*given):
    left = list(given)
    return lambda _: left.pop(0)


FAILURES = {
    "factory": (
        {"before": fail},
        None,
        FactoryError,
        "adapter:b: b-new did not come up at step create: OSError: no route",
    ),
    "startup": (
        {"health": lambda _: False},
        None,
        HealthRejected,
        "adapter:b: b-new did not come up at step warm: its check answers no",
    ),
    "veto": ({}, "before", Vetoed, "adapter:b: b-new was refused at step check: Judges objects: not today"),
    "need": (
        {"needs": [Need(C)]},
        None,
        DependencyFailed,
        "adapter:b: b-new did not come up at step needs: adapter:b -> adapter:c: no candidate fills adapter:c",
    ),
    "confirm": (
        {"health": answers(True, False)},
        None,
        RolledBack,
        "adapter:b: b-new was rolled back: its check answers no",
    ),
    "judge": ({}, "after", RolledBack, "adapter:b: b-new was rolled back: Judges objects: not today"),
}


@pytest.mark.parametrize("why", FAILURES)
def test_if_one_fails_none_has_changed(shop, run, why):
    """The error names the one that failed and where; both keys serve what they served, and nothing is left open."""
    more, when, kind, text = FAILURES[why]
    if why in ("startup", "confirm"):
        more = {"health": {"startup": lambda _: False, "confirm": answers(True, False)}[why]}

    async def main():
        settings = {"lifecycle": {"startup_timeout": 1.0}}
        async with shop.runtime(*pairs(shop, b=more), settings=settings, plugins=[Judges(when)]) as runtime:
            await bind_old(runtime, A, B)
            with pytest.raises(kind) as error:
                async with runtime.transaction() as changes:
                    changes.swap(*A, "a-new")
                    changes.swap(*B, "b-new")
            await asyncio.sleep(1)
            slots = [runtime.status().of(*key) for key in (A, B)]
            phases = [(slot.phase, len(slot.others), slot.rollbacks) for slot in slots]
            with runtime.lease(*A) as one, runtime.lease(*B) as other:
                served = [one.use(), other.use()]
            return str(error.value).splitlines()[0], served, phases, changes.reports

    rolled_back = int(kind is RolledBack)
    assert run(main()) == (text, ["a-old", "b-old"], [("ready", 0, rolled_back)] * 2, [])
    assert shop.faults() == []


def test_who_went_back_with_another_is_told_why(shop, run):
    """Observers hear of each that was taken back, and because of whom."""
    heard = []

    class Observer:
        @hookimpl
        def oneiric_rolled_back(self, new, old, reason):
            heard.append((new.candidate.provider, old.candidate.provider, reason))

    async def main():
        async with shop.runtime(*pairs(shop), plugins=[Judges("after"), Observer()]) as runtime:
            await bind_old(runtime, A, B)
            with pytest.raises(RolledBack):
                async with runtime.transaction() as changes:
                    changes.swap(*A, "a-new")
                    changes.swap(*B, "b-new")

    run(main())
    assert sorted(heard) == [
        ("a-new", "a-old", "it went back with adapter:b: Judges objects: not today"),
        ("b-new", "b-old", "Judges objects: not today"),
    ]
    assert shop.faults() == []


@pytest.mark.parametrize("order", list(itertools.permutations("abc")), ids="".join)
@pytest.mark.parametrize("bound", [True, False])
def test_a_member_is_built_from_the_new_ones_of_the_same_transaction(shop, run, order, bound):
    """However they are listed, what is needed comes first; by lease and by handle."""

    async def main():
        candidates = [
            shop.candidate(name, f"{name}-{age}", needs=needs)
            for name, needs in {
                "a": [Need(B)],
                "b": [Need(C), Need(C, name="late", on_change="handle")],
                "c": [],
            }.items()
            for age in ("old", "new")
        ]
        async with shop.runtime(*candidates) as runtime:
            if bound:
                await bind_old(runtime, C, B, A)
            async with runtime.transaction() as changes:
                for name in order:
                    changes.swap("adapter", name, f"{name}-new")
            await settle(runtime)
            with runtime.lease(*A) as a:
                b = a.needs["b"]
                with b.needs["late"]() as late:
                    return a.provider, b.provider, b.needs["c"].provider, late.provider, len(shop.of("a-new"))

    assert run(main()) == ("a-new", "b-new", "c-new", "c-new", 1)
    assert shop.faults() == []


def test_what_is_needed_outside_is_brought_up_first(shop, run):
    """It is activated before anything is locked, and it stays if the transaction fails."""

    async def main():
        candidates = [*pairs(shop, a={"needs": [Need(C)]}, b={"before": fail}), shop.candidate("c", "c1")]
        async with shop.runtime(*candidates) as runtime:
            await bind_old(runtime, A, B)
            with pytest.raises(FactoryError):
                async with runtime.transaction() as changes:
                    changes.swap(*A, "a-new")
                    changes.swap(*B, "b-new")
            await asyncio.sleep(1)
            slot = runtime.status().of(*C)
            failed = (what_serves(runtime, A, B, C), slot.bound.leases, slot.bound.dependents)
            async with runtime.transaction() as changes:
                changes.swap(*A, "a-new")
            return failed, runtime.status().of(*C).bound.dependents

    assert run(main()) == ((["a-old", "b-old", "c1"], 0, ()), (A,))
    assert shop.faults() == []


def test_a_member_that_does_not_change_is_built_from_as_it_is(shop, run):
    """Who needs it gets what is bound."""

    async def main():
        async with shop.runtime(*pairs(shop, a={"needs": [Need(B)]})) as runtime:
            await bind_old(runtime, A, B)
            async with runtime.transaction() as changes:
                changes.swap(*A, "a-new")
                changes.swap(*B, "b-old")
            with runtime.lease(*A) as a, runtime.lease(*B) as b:
                return a.needs["b"] is b, [each.outcome for each in changes.reports]

    assert run(main()) == (True, ["swapped", "unchanged"])
    assert shop.faults() == []


def test_a_circle_inside_is_refused(shop, run):
    """Before anything is locked or built, and named."""

    async def main():
        async with shop.runtime(*pairs(shop, a={"needs": [Need(B)]}, b={"needs": [Need(A)]})) as runtime:
            await bind_old(runtime, A, B)
            with pytest.raises(DependencyCycle) as error:
                async with runtime.transaction() as changes:
                    changes.swap(*A, "a-new")
                    changes.swap(*B, "b-new")
            return error.value.path, what_serves(runtime, A, B)

    assert run(main()) == ((A, B, A), ["a-old", "b-old"])
    assert len(shop.made) == 2


def test_what_would_be_a_circle_without_the_transaction_is_none(shop, run):
    """What counts is who fills the keys afterwards: so two keys can turn round who needs whom."""

    async def main():
        candidates = [
            shop.candidate("a", "a-old", needs=[Need(B)], priority=1),
            shop.candidate("b", "b-old", priority=1),
            shop.candidate("a", "a-new"),
            shop.candidate("b", "b-new", needs=[Need(A)]),
        ]
        async with shop.runtime(*candidates) as runtime:
            async with runtime.use(*A):
                pass
            async with runtime.transaction() as changes:
                changes.swap(*A, "a-new")
                changes.swap(*B, "b-new")
            with runtime.lease(*A) as a, runtime.lease(*B) as b:
                return b.needs["a"] is a, [each.outcome for each in changes.reports]

    assert run(main()) == (True, ["swapped", "swapped"])
    assert shop.faults() == []


@pytest.mark.parametrize("first", ["a", "b"])
def test_in_a_circle_who_can_do_without_goes_first(shop, run, first):
    """An optional need is left out where it would close the circle."""

    async def main():
        needs = {"a": [Need(B, optional=first == "a")], "b": [Need(A, optional=first == "b")]}
        candidates = [shop.candidate(name, f"{name}1", needs=needs[name]) for name in "ab"]
        async with shop.runtime(*candidates) as runtime:
            async with runtime.transaction() as changes:
                changes.swap(*A)
                changes.swap(*B)
            with runtime.lease(*A) as a, runtime.lease(*B) as b:
                return {"a": a.needs["b"], "b": b.needs["a"]}[first], {
                    "a": b.needs["a"] is a,
                    "b": a.needs["b"] is b,
                }[first]

    assert run(main()) == (None, True)
    assert shop.faults() == []


def test_what_cannot_overlap_cannot_take_part(shop, run):
    """It is refused before anything happens; a first activation is no overlap."""

    async def main():
        candidates = pairs(shop, b={"policies": Policies(mode="exclusive")})
        async with shop.runtime(*candidates) as runtime:
            async with runtime.transaction() as first:
                first.swap(*A, "a-old")
                first.swap(*B, "b-new")
            with pytest.raises(Permanent) as error:
                async with runtime.transaction() as changes:
                    changes.swap(*A, "a-new")
                    changes.swap(*B, "b-old")
            return (
                [each.outcome for each in first.reports],
                str(error.value).splitlines(),
                what_serves(runtime, A, B),
            )

    assert run(main()) == (
        ["activated", "activated"],
        [
            "adapter:b: b-old did not come up at step decide: "
            "its mode is exclusive, and a transaction needs both generations at once",
            "  still serving: b-new",
            "  swap it alone, before or after",
        ],
        ["a-old", "b-new"],
    )
    assert len(shop.made) == 2
    assert shop.faults() == []


def test_an_unknown_provider_is_an_ordinary_error(shop, run):
    """With the decision, and nothing changed."""

    async def main():
        async with shop.runtime(*pairs(shop)) as runtime:
            with pytest.raises(SelectionUnsatisfied, match="did you mean 'b-new'"):
                async with runtime.transaction() as changes:
                    changes.swap(*A, "a-new")
                    changes.swap(*B, "b-nwe")
            return what_serves(runtime, A, B)

    assert run(main()) == [None, None]
    assert shop.made == []


def test_opposite_orders_never_wait_for_each_other(shop, run):
    """Transactions over the same keys, listed each its own way, among single swaps: all end."""

    async def main():
        names = "abc"
        candidates = [
            shop.candidate(name, f"{name}{number}", before=lambda _: asyncio.sleep(0.01), needs=needs)
            for name, needs in {"a": [], "b": [Need(A)], "c": [Need(A), Need(B)]}.items()
            for number in range(3)
        ]
        async with shop.runtime(*candidates) as runtime:

            async def change(number, order):
                try:
                    async with runtime.transaction() as changes:
                        for name in order:
                            changes.swap("adapter", name, f"{name}{number % 3}")
                except OneiricError as error:
                    return type(error).__name__
                return "changed"

            async def swap(number, name):
                try:
                    await runtime.swap("adapter", name, f"{name}{number % 3}")
                except OneiricError as error:
                    return type(error).__name__
                return "swapped"

            work = [change(number, order) for number, order in enumerate(itertools.permutations(names, 2))]
            work += [swap(number, name) for number, name in enumerate(names * 3)]
            work += [change(number, order) for number, order in enumerate(itertools.permutations(names))]
            ended = await asyncio.gather(*work)
            await settle(runtime)
            await asyncio.sleep(120)
            return (
                set(ended),
                [slot.phase for slot in runtime.status().slots],
                [slot.others for slot in runtime.status().slots],
            )

    ended, phases, others = run(main())
    assert ended <= {"changed", "swapped", "Busy"}
    assert (phases, others) == (["ready"] * 3, [()] * 3)
    assert shop.faults() == []


def test_the_caller_may_go_away_at_any_moment(shop, run):
    """All new or all old, never a mixture; nothing is left open, locked or leased."""
    turns, over = 0, False
    while not over:
        shop.made.clear()

        async def main(turns=turns):
            slow = {"before": lambda _: asyncio.sleep(0)}
            candidates = pairs(shop, a={**slow, "needs": [Need(C)]}, b={**slow, "needs": [Need(A)]})
            async with shop.runtime(*candidates, shop.candidate("c", "c1")) as runtime:
                await bind_old(runtime, A, B)

                async def change():
                    async with runtime.transaction() as changes:
                        changes.swap(*A, "a-new")
                        changes.swap(*B, "b-new")

                caller = asyncio.create_task(change())
                seen = set()

                def look():
                    with runtime.lease(*A) as a, runtime.lease(*B) as b:
                        seen.add((a.use(), b.use()))

                for _ in range(turns):
                    await asyncio.sleep(0)
                    look()
                over = caller.done()
                caller.cancel()
                for _ in range(100):
                    await asyncio.sleep(0)
                    look()
                await asyncio.wait({caller})
                await asyncio.sleep(1)
                held = [
                    (slot.bound.leases, slot.others, slot.phase)
                    for slot in runtime.status().slots
                    if slot.bound
                ]
                async with runtime.transaction() as changes:  # nothing is locked
                    changes.swap(*A, "a-new", reload=True)
                    changes.swap(*B, "b-old", reload=True)
                return over, seen, held

        over, seen, held = run(main())
        assert seen <= {("a-old", "b-old"), ("a-new", "b-new")}
        assert set(held) == {(0, (), "ready")}
        assert shop.faults() == []
        turns += 1
        assert turns < 300
    assert turns > 15


@pytest.mark.parametrize("name", ["a", "b"])
@pytest.mark.parametrize("how", ["use", "swap", "transaction"])
def test_a_factory_that_waits_for_its_own_transaction_is_refused(shop, run, name, how):
    """Whatever it asks for of any of the members, it is told, and does not wait for ever."""

    async def main():
        runtime = None

        async def ask(_):
            key = Key("adapter", name)
            if how == "use":
                async with runtime.use(*key):
                    pass
            elif how == "swap":
                await runtime.swap(*key, f"{name}-old")
            else:
                async with runtime.transaction() as changes:
                    changes.swap(*key, f"{name}-old")

        async with shop.runtime(*pairs(shop, a={"before": ask}, b={"before": ask})) as runtime:
            with pytest.raises(Reentrant):
                async with runtime.transaction() as changes:
                    changes.swap(*A, "a-new")
                    changes.swap(*B, "b-new")
            await settle(runtime)
            return what_serves(runtime, A, B), runtime.status().operations

    assert run(main()) == ([None, None], ())
    assert shop.faults() == []


def test_needs_are_given_back_when_there_is_no_room(shop, run):
    """A transaction that fails for want of room leases nothing any more."""

    async def main():
        settings = {"lifecycle": {"max_generations": 2, "busy_timeout": 3.0, "drain_timeout": 1000.0}}
        candidates = pairs(shop, a={"needs": [Need(C)]})
        async with shop.runtime(*candidates, shop.candidate("c", "c1"), settings=settings) as runtime:
            await bind_old(runtime, A, B)
            async with runtime.use(*A):
                await runtime.swap(*A, "a-old", reload=True)
                with pytest.raises(Busy):
                    async with runtime.transaction() as changes:
                        changes.swap(*B, "b-new")
                        changes.swap(*A, "a-new")
                slot = runtime.status().of(*C)
                return slot.bound.leases, slot.bound.dependents, what_serves(runtime, A, B)

    assert run(main()) == (0, (), ["a-old", "b-old"])
    assert shop.faults() == []


def test_a_winner_that_changes_meanwhile_is_taken_anew(shop, run):
    """What wins when the keys are held is what comes, not what won when somebody asked."""

    async def main():
        blocked = asyncio.Event()
        slow = shop.candidate("b", "b-slow", before=lambda _: blocked.wait())
        async with shop.runtime(*pairs(shop), slow) as runtime:
            await bind_old(runtime, A, B)
            runtime.unpin(*A)
            swapping = asyncio.create_task(runtime.swap(*B, "b-slow"))
            await asyncio.sleep(1)

            async def change():
                async with runtime.transaction() as changes:
                    changes.swap(*A)
                    changes.swap(*B, "b-new")
                return changes.reports

            changing = asyncio.create_task(change())
            await asyncio.sleep(1)
            runtime.register(shop.candidate("a", "a-newest", priority=9))
            blocked.set()
            await swapping
            return [each.new for each in await changing]

    assert run(main()) == ["a-newest", "b-new"]
    assert shop.faults() == []


def test_the_runtime_may_close_in_the_middle(shop, run):
    """At every moment: everything made is closed, once, and whoever waits is told."""
    for turns in range(0, 60, 2):
        shop.made.clear()

        async def main(turns=turns):
            slow = {"before": lambda _: asyncio.sleep(0)}
            async with shop.runtime(*pairs(shop, a=slow, b=slow)) as runtime:
                await bind_old(runtime, A, B)

                async def change():
                    async with runtime.transaction() as changes:
                        changes.swap(*A, "a-new")
                        changes.swap(*B, "b-new")

                changing = asyncio.create_task(change())
                for _ in range(turns):
                    await asyncio.sleep(0)
                report = await runtime.close()
                (end,) = await asyncio.gather(changing, return_exceptions=True)
                return report.clean, end is None or isinstance(end, OneiricError)

        assert run(main()) == (True, True)
        assert shop.faults() == []
