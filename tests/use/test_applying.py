"""Other settings, other plugins, other candidates: while it runs."""

import asyncio

import attrs
import pytest
from oneiric_hookspecs import (
    Candidate,
    Key,
    Need,
    NoCandidate,
    PluginError,
    SelectionUnsatisfied,
    SettingsError,
    hookimpl,
)

STORE, LEDGER, IDLE = Key("adapter", "store"), Key("adapter", "ledger"), Key("adapter", "idle")


@attrs.frozen
class Sized:
    size: int = 1


def settings(selections=None, **sizes):
    """Settings with *selections* of adapters, and a size of the provider ``a`` of some."""
    tables = {name: {"a": {"size": size}} for name, size in sizes.items()}
    return {"adapters": {"selections": selections or {}, "settings": tables}}


def everything(shop, **more):
    return [
        shop.candidate(name, provider, settings_class=Sized, **more)
        for name in ("store", "ledger", "idle")
        for provider in ("b", "a")
    ]


async def use(runtime, *keys):
    for key in keys:
        async with runtime.use(*key):
            pass


def bound(runtime):
    return {
        slot.key.name: (slot.bound.provider, slot.bound.number)
        for slot in runtime.status().slots
        if slot.bound is not None
    }


def test_only_what_changed_is_swapped(shop, run):
    """One key selects another provider, one gets other settings, one stays; what nobody uses is not brought up."""

    async def main():
        keep = [shop.candidate("same", "x")]
        async with shop.runtime(*everything(shop), *keep, settings=settings(store=1)) as runtime:
            await use(runtime, STORE, LEDGER, ("adapter", "same"))
            new = settings({"store": "b", "idle": "b"}, ledger=7)
            planned = [(each.key, each.before, each.after, each.kind) for each in runtime.plan(new)]
            before = bound(runtime)
            reports = await runtime.apply(new)
            told = [(each.key, each.outcome, each.old, each.new) for each in reports]
            with runtime.lease(*LEDGER) as ledger:
                size = ledger.settings.size
            again = await runtime.apply(new)
            return (
                planned,
                before,
                told,
                bound(runtime),
                size,
                again,
                runtime.plan(new),
                runtime.settings.selections(),
            )

    planned, before, told, after, size, again, nothing, selections = run(main())
    assert planned == [
        (IDLE, "a", "b", "winner"),
        (LEDGER, "a", "a", "settings"),
        (STORE, "a", "b", "winner"),
    ]
    assert before == {"store": ("a", 1), "ledger": ("a", 1), "same": ("x", 1)}
    assert told == [(LEDGER, "swapped", "a", "a"), (STORE, "swapped", "a", "b")]
    assert after == {"store": ("b", 2), "ledger": ("a", 2), "same": ("x", 1)}
    assert (size, again, nothing) == (7, [], [])
    assert selections == {STORE: "b", IDLE: "b"}
    assert shop.faults() == []


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        ({"adapters": {"selections": {"store": 7}}}, "selections.store"),
        ({"adapters": {"settings": {"store": {"a": {"sise": 2}}}}}, "did you mean size"),
        ({"adapters": {"settings": {"stoer": {"a": {"size": 2}}}}}, "stoer"),
        ({"adaptors": {}}, "did you mean adapters"),
        ({"lifecycle": {"drain_timeout": -1}}, "drain_timeout"),
        ({"lifecycle": {"keys": {"adaptor:store": {"mode": "exclusive"}}}}, "adaptor"),
        ({"plugins": {"settings": {"nobody": {}}}}, "nobody"),
    ],
)
def test_settings_that_are_not_valid_change_nothing(shop, run, bad, text):
    """They are refused as at the start, as a whole, and what runs does not notice."""

    async def main():
        async with shop.runtime(*everything(shop), settings=settings({"store": "b"})) as runtime:
            await use(runtime, STORE)
            before = runtime.settings
            for refuse in (runtime.plan, runtime.apply):
                with pytest.raises(SettingsError, match=text):
                    answer = refuse({**settings({"store": "a"}), **bad})
                    await answer
            return runtime.settings is before, runtime.resolve(*STORE).provider, bound(runtime)

    assert run(main()) == (True, "b", {"store": ("b", 1)})
    assert len(shop.made) == 1


def test_what_is_refused_at_the_start_is_refused_later_and_nothing_else_is(shop, run):
    """With a plugin that failed, its sections are left alone: at the start, and when the same file is applied."""

    class Broken:
        @hookimpl
        def oneiric_domains(self):
            raise RuntimeError("broken")

    async def main():
        given = {**settings(), "reports": {"selections": {"monday": "pdf"}}}
        async with shop.runtime(*everything(shop), settings=given, plugins=[Broken()]) as runtime:
            await use(runtime, STORE)
            return await runtime.apply(given), len(runtime.settings.warnings) > 0

    assert run(main()) == ([], True)


def test_a_key_that_fails_goes_on_serving_and_is_pending(shop, run):
    """The others change; it keeps what it has, says what is wanted, and the next try brings it about."""
    broken = [True]

    def fail(_):
        if broken[0]:
            raise OSError("no route")

    async def main():
        candidates = [shop.candidate("store", "bad", before=fail), *everything(shop)]
        async with shop.runtime(*candidates) as runtime:
            await use(runtime, STORE, LEDGER)
            new = settings({"store": "bad", "ledger": "b"})
            told = await runtime.apply(new)
            pending = runtime.status().of(*STORE).pending
            planned = [(each.key, each.before, each.after) for each in runtime.plan(new)]
            broken[0] = False
            again = await runtime.apply(new)
            slot = runtime.status().of(*STORE)
            return (
                [type(each).__name__ for each in told],
                pending,
                planned,
                again[0].new,
                slot.pending,
                bound(runtime),
            )

    assert run(main()) == (
        ["SwapReport", "FactoryError"],
        "the settings want another one: adapter:store: bad did not come up at step create: OSError: no route",
        [(STORE, "a", "bad")],
        "bad",
        "",
        {"store": ("bad", 3), "ledger": ("b", 2)},
    )
    assert shop.faults() == []


def test_a_selection_of_nobody_is_pending_too(shop, run):
    """It serves what it served until somebody is registered who can."""

    async def main():
        async with shop.runtime(*everything(shop)) as runtime:
            await use(runtime, STORE)
            (error,) = await runtime.apply(settings({"store": "c"}))
            pending = runtime.status().of(*STORE).pending
            (planned,) = runtime.plan(settings({"store": "c"}))
            runtime.register(shop.candidate("store", "c"))
            (report,) = await runtime.apply(settings({"store": "c"}))
            return type(error), "no candidate fills" in pending, planned.after, report.new

    assert run(main()) == (SelectionUnsatisfied, True, None, "c")
    assert shop.faults() == []


def test_who_goes_away_leaves_the_rest_pending(shop, run):
    """The settings are in force; one that takes long keeps no other waiting, says that it is pending, and is next."""

    async def main():
        candidates = [shop.candidate("ledger", "slow", before=lambda _: asyncio.sleep(10)), *everything(shop)]
        async with shop.runtime(*candidates) as runtime:
            await use(runtime, STORE, LEDGER)
            new = settings({"ledger": "slow", "store": "b"})
            applying = asyncio.create_task(runtime.apply(new))
            await asyncio.sleep(1)
            applying.cancel()
            await asyncio.wait({applying})
            pending = [bool(slot.pending) for slot in runtime.status().slots]
            reports = await runtime.apply(new)
            return pending, [each.new for each in reports], [slot.pending for slot in runtime.status().slots]

    assert run(main()) == ([True, False], ["slow"], ["", ""])
    assert shop.faults() == []


def test_what_comes_up_while_settings_change_has_the_new_ones(shop, run):
    """An activation that began with the old ones is not the last word."""

    async def main():
        slow = shop.candidate("store", "a", settings_class=Sized, before=lambda _: asyncio.sleep(5))
        async with shop.runtime(slow, settings=settings(store=1)) as runtime:
            using = asyncio.create_task(use(runtime, STORE))
            await asyncio.sleep(1)
            await runtime.apply(settings(store=2))
            await using
            with runtime.lease(*STORE) as thing:
                return thing.settings.size

    assert run(main()) == 2
    assert shop.faults() == []


def test_settings_do_not_swap_what_they_do_not_concern(shop, run):
    """A better candidate that nobody swapped to stays where it is when something else is changed."""

    async def main():
        async with shop.runtime(*everything(shop)) as runtime:
            await use(runtime, STORE, LEDGER)
            runtime.register(shop.candidate("store", "better", priority=5))
            new = settings(ledger=3)
            planned = [each.key for each in runtime.plan(new)]
            reports = await runtime.apply(new)
            return (
                planned,
                [each.key for each in reports],
                bound(runtime),
                [each.key for each in runtime.plan()],
            )

    assert run(main()) == ([LEDGER], [LEDGER], {"store": ("a", 1), "ledger": ("a", 2)}, [STORE])
    assert shop.faults() == []


def test_a_pin_is_above_the_settings(shop, run):
    """What an operator chose stays chosen; without it the settings are heard."""

    async def main():
        async with shop.runtime(*everything(shop)) as runtime:
            await runtime.swap(*STORE, "b")
            first = await runtime.apply(settings({"store": "a"}))
            runtime.unpin(*STORE)
            report = await runtime.swap(*STORE)
            return first, report.new

    assert run(main()) == ([], "a")
    assert shop.faults() == []


def test_what_is_built_from_what_changed_follows(shop, run):
    """A dependent is rebuilt on the new one, once."""

    async def main():
        top = shop.candidate("top", "t", needs=[Need(STORE)])
        async with shop.runtime(*everything(shop), top) as runtime:
            await use(runtime, Key("adapter", "top"))
            await runtime.apply(settings({"store": "b"}))
            await asyncio.sleep(1)
            with runtime.lease("adapter", "top") as thing:
                return thing.needs["store"].provider, len(shop.of("t"))

    assert run(main()) == ("b", 2)
    assert shop.faults() == []


def test_a_plan_says_what_an_apply_does(shop, run):
    """For every change of settings: the keys that are bound and planned are those of the reports."""
    tried = [
        settings(),
        settings({"store": "b"}),
        settings({"store": "b"}, store=9),
        settings({"store": "a", "ledger": "b"}, store=9),
        {"resolver": {"stack_order": {"tests": 5}}},
        settings({"idle": "b"}),
    ]

    async def main():
        async with shop.runtime(*everything(shop)) as runtime:
            await use(runtime, STORE, LEDGER)
            told = []
            for new in tried:
                planned = [
                    (each.key, each.after) for each in runtime.plan(new) if each.key.name in bound(runtime)
                ]
                reports = await runtime.apply(new)
                told.append((planned, [(each.key, each.new) for each in reports]))
            return told

    told = run(main())
    assert [planned for planned, _ in told] == [done for _, done in told]
    assert [len(planned) for planned, _ in told] == [0, 1, 0, 2, 2, 0]
    assert shop.faults() == []


# --- plugins ------------------------------------------------------------------------------------------------------------


def test_a_plugin_may_come_and_go(shop, run):
    """What it declares is registered and withdrawn as a whole; what is bound goes on serving."""

    class Extra:
        @hookimpl
        def oneiric_candidates(self):
            return [shop.candidate("store", "extra", priority=5), shop.candidate("new", "extra")]

    async def main():
        async with shop.runtime(*everything(shop)) as runtime:
            await use(runtime, STORE)
            record = runtime.plug(Extra())
            there = (
                record.state,
                runtime.resolve(*STORE).provider,
                runtime.resolve("adapter", "new").provider,
            )
            before = bound(runtime)
            await runtime.swap(*STORE)
            gone = runtime.unplug("Extra")
            with runtime.lease(*STORE) as thing:
                served = thing.use()
            with pytest.raises(NoCandidate):
                runtime.resolve("adapter", "new")
            return there, before, gone.name, served, runtime.resolve(*STORE).provider

    assert run(main()) == (("on", "extra", "extra"), {"store": ("a", 1)}, "Extra", "extra", "a")
    assert shop.faults() == []


@pytest.mark.parametrize("what", ["lint", "candidates", "domain"])
def test_of_a_plugin_that_is_not_well_formed_nothing_stays(shop, run, what):
    """Neither its hooks nor what it declared; and it can come again when it is mended."""

    class Bad:
        if what == "lint":

            @hookimpl
            def oneiric_candidatse(self):
                return []

        @hookimpl
        def oneiric_candidates(self):
            yield shop.candidate("store", "good", priority=9)
            if what == "candidates":
                yield Candidate(Key("adapter", "store"), "BAD", dict)
            if what == "domain":
                yield Candidate(Key("adaptor", "store"), "bad", dict)

    async def main():
        async with shop.runtime(*everything(shop)) as runtime:
            await use(runtime, STORE)
            with pytest.raises(PluginError):
                runtime.plug(Bad(), "bad")
            first = (
                runtime.resolve(*STORE).provider,
                [each.name for each in runtime.hooks.plugins if each.name == "bad"],
            )

            class Good:
                @hookimpl
                def oneiric_candidates(self):
                    yield shop.candidate("store", "good", priority=9)

            runtime.plug(Good(), "bad")
            return first, runtime.resolve(*STORE).provider

    assert run(main()) == (("a", []), "good")
    assert shop.faults() == []


def test_a_judge_that_comes_is_asked_from_then_on(shop, run):
    """And one that goes is asked no more: for swaps and for resolving."""

    class Freeze:
        @hookimpl
        def oneiric_check_swap(self):
            from oneiric_hookspecs import Objection

            return [Objection("frozen")]

        @hookimpl
        def oneiric_check_eligible(self, candidate):
            from oneiric_hookspecs import Objection

            return [Objection("not that one")] if candidate.provider == "a" else None

    async def main():
        async with shop.runtime(*everything(shop)) as runtime:
            await use(runtime, STORE)
            runtime.plug(Freeze())
            seen = [runtime.resolve(*STORE).provider]
            with pytest.raises(Exception, match="frozen"):
                await runtime.swap(*STORE)
            runtime.unplug("Freeze")
            seen.append(runtime.resolve(*STORE).provider)
            report = await runtime.swap(*STORE, reload=True)
            return seen, report.outcome

    assert run(main()) == (["b", "a"], "swapped")
    assert shop.faults() == []


# --- candidates ---------------------------------------------------------------------------------------------------------


def test_what_is_withdrawn_goes_on_serving(shop, run):
    """Until somebody swaps it away; then it does not come back."""

    async def main():
        runtime = shop.runtime(shop.candidate("store", "rest"))
        async with runtime:
            runtime.register(shop.candidate("store", "mine", priority=5))
            await use(runtime, STORE)
            runtime.withdraw(key=STORE, provider="mine")
            with runtime.lease(*STORE) as thing:
                seen = [thing.use()]
            with pytest.raises(SelectionUnsatisfied):
                await runtime.swap(*STORE, "mine")
            report = await runtime.swap(*STORE)
            seen += [report.old, report.new]
            with pytest.raises(SelectionUnsatisfied):
                await runtime.rollback(*STORE)
            return seen

    assert run(main()) == ["mine", "mine", "rest"]
    assert shop.faults() == []


def test_a_replaced_source_is_replaced_whole(shop, run):
    """Readers see its old candidates or its new ones; what is bound of the old ones goes on."""

    async def main():
        async with shop.runtime(shop.candidate("store", "rest", priority=-1)) as runtime:
            runtime.register(shop.candidate("store", "one"), shop.candidate("ledger", "one"), source="mine")
            await use(runtime, STORE, LEDGER)
            runtime.register(shop.candidate("store", "two"), source="mine", replace=True)
            with pytest.raises(NoCandidate):
                runtime.resolve(*LEDGER)
            with runtime.lease(*LEDGER) as thing:
                served = thing.use()
            return served, runtime.resolve(*STORE).provider, bound(runtime)["store"][0]

    assert run(main()) == ("one", "two", "one")
    assert shop.faults() == []


def test_another_version_of_what_is_bound_is_a_reason_to_swap(shop, run):
    """The same provider, registered anew with another version, is what the next swap brings; the same is unchanged."""

    async def main():
        async with shop.runtime() as runtime:
            runtime.register(shop.candidate("store", "mine", version="1"))
            await use(runtime, STORE)
            runtime.register(shop.candidate("store", "mine", version="1"))
            same = await runtime.swap(*STORE)
            runtime.register(shop.candidate("store", "mine", version="2"))
            planned = [(each.before, each.after) for each in runtime.plan()]
            other = await runtime.swap(*STORE)
            return same.outcome, planned, other.outcome, len(shop.made)

    assert run(main()) == ("unchanged", [("mine", "mine")], "swapped", 2)
    assert shop.faults() == []


def test_a_better_one_is_swapped_to_by_itself_where_that_is_wanted(shop, run):
    """``auto_swap``: not at all, when nobody uses it, or at once; and another version counts as another one."""

    async def main():
        keys = {"adapter:ledger": {"auto_swap": "on"}, "adapter:idle": {"auto_swap": "on_idle"}}
        given = {"lifecycle": {"keys": keys}}
        candidates = [shop.candidate(name, "a", version="1") for name in ("store", "ledger", "idle")]
        async with shop.runtime(settings=given) as runtime:
            runtime.register(*candidates)
            await use(runtime, STORE, LEDGER, IDLE)
            async with runtime.use(*IDLE):
                runtime.register(
                    *(shop.candidate(name, "a", version="2") for name in ("store", "ledger", "idle"))
                )
                await asyncio.sleep(1)
                in_use = bound(runtime), runtime.status().of(*IDLE).pending
            await asyncio.sleep(1)
            return in_use, bound(runtime), runtime.status().of(*IDLE).pending

    (before, pending), after, nothing = run(main())
    assert before == {"store": ("a", 1), "ledger": ("a", 2), "idle": ("a", 1)}
    assert "when nobody uses" in pending
    assert (after, nothing) == ({"store": ("a", 1), "ledger": ("a", 2), "idle": ("a", 2)}, "")
    assert shop.faults() == []


def test_a_storm_of_better_ones_ends_at_the_best(shop, run):
    """More than may be swapped to in a minute: the newest is what comes in the end, and it is said that it waits."""

    async def main():
        given = {"lifecycle": {"auto_swaps_per_minute": 3, "keys": {"adapter:store": {"auto_swap": "on"}}}}
        async with shop.runtime(shop.candidate("store", "p0", priority=0), settings=given) as runtime:
            await use(runtime, STORE)
            for number in range(1, 40):
                runtime.register(shop.candidate("store", f"p{number}", priority=number))
                await asyncio.sleep(0.1)
            waiting = runtime.status().of(*STORE)
            await asyncio.sleep(120)
            slot = runtime.status().of(*STORE)
            return (
                waiting.bound.provider,
                bool(waiting.pending),
                slot.bound.provider,
                slot.pending,
                slot.swaps,
            )

    assert run(main()) == ("p3", True, "p39", "", 4)
    assert shop.faults() == []


def test_a_factory_that_fails_by_itself_is_seen(shop, run):
    """A change that nobody asked for and that fails is pending, and the old one serves."""

    def fail(_):
        raise OSError("no route")

    async def main():
        given = {"lifecycle": {"keys": {"adapter:store": {"auto_swap": "on"}}}}
        async with shop.runtime(shop.candidate("store", "a"), settings=given) as runtime:
            await use(runtime, STORE)
            runtime.register(shop.candidate("store", "b", priority=3, before=fail))
            await asyncio.sleep(1)
            slot = runtime.status().of(*STORE)
            return slot.bound.provider, "no route" in slot.pending, "no route" in slot.last_error

    assert run(main()) == ("a", True, True)
    assert shop.faults() == []
