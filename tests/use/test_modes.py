"""Swaps of what cannot overlap: ``exclusive`` and ``in_place``."""

import asyncio
import socket
import threading

import attrs
import pytest
from oneiric_hookspecs import (
    Candidate,
    Draining,
    FactoryError,
    GateTimeout,
    Key,
    Need,
    Objection,
    OneiricError,
    Permanent,
    Policies,
    RolledBack,
    SwapReport,
    Vetoed,
    hookimpl,
)

KEY = ("adapter", "port")
EXCLUSIVE = Policies(mode="exclusive")
IN_PLACE = Policies(mode="in_place")


class Diary:
    """What happened, in order."""

    def __init__(self, shop):
        self.lines = []
        self.shop = shop

    def thing(self):
        diary = self

        class Noted(diary.shop.thing):
            def __init__(self, key, provider, settings=None, needs=None):
                super().__init__(key, provider, settings, needs)
                diary.lines.append(f"open {provider}")

            async def aclose(self):
                await super().aclose()
                diary.lines.append(f"close {self.provider}")

        return Noted


@pytest.fixture
def diary(shop):
    return Diary(shop)


def exclusive(shop, diary, provider, **more):
    return shop.candidate("port", provider, thing=diary.thing(), policies=EXCLUSIVE, **more)


def test_the_old_one_is_closed_before_the_new_one_is_made(shop, diary, run):
    """Users who come in between wait at the gate, and are served by the new one."""

    async def main():
        slow = exclusive(shop, diary, "b", before=lambda _: asyncio.sleep(5))
        async with shop.runtime(exclusive(shop, diary, "a"), slow) as runtime:
            await runtime.swap(*KEY, "a")
            swapping = asyncio.create_task(runtime.swap(*KEY, "b"))
            await asyncio.sleep(1)

            async def use():
                async with runtime.use(*KEY) as thing:
                    return thing.use()

            users = [asyncio.create_task(use()) for _ in range(3)]
            with pytest.raises(Draining, match="being swapped"), runtime.lease(*KEY):
                pass
            report = await swapping
            end = await report.retired()
            answers = await asyncio.gather(*users)
            return (
                answers,
                report.outcome,
                report.old,
                report.new,
                round(report.gap_ms),
                end.ending,
                list(diary.lines),
            )

    assert run(main()) == (
        ["b", "b", "b"],
        "swapped",
        "a",
        "b",
        5000,
        "closed",
        ["open a", "close a", "open b"],
    )
    assert shop.faults() == []


def test_users_are_let_finish_first(shop, diary, run):
    """Whoever has it keeps it to the end, or to the drain timeout, and then by name in the report."""

    async def main():
        settings = {"lifecycle": {"drain_timeout": 4.0}}
        both = exclusive(shop, diary, "a"), exclusive(shop, diary, "b")
        async with shop.runtime(*both, settings=settings) as runtime:
            await runtime.swap(*KEY, "a")

            async def hold(seconds):
                async with runtime.use(*KEY) as thing:
                    await asyncio.sleep(seconds)
                    return thing.closed

            short = asyncio.create_task(hold(2))
            await asyncio.sleep(0)
            first = await runtime.swap(*KEY, "b")
            long = asyncio.create_task(hold(10), name="long")
            await asyncio.sleep(0)
            second = await runtime.swap(*KEY, "a")
            end = await second.retired()
            return await short, round(first.gap_ms), await long, round(second.gap_ms), end.forced, end.holders

    assert run(main()) == (0, 2000, 1, 4000, 1, ("task long",))
    assert [each.closed for each in shop.made] == [1, 1, 1]


def test_who_does_not_want_to_wait_that_long_is_told(shop, diary, run):
    """At the gate for ``gate_timeout``, and then an error that says what for."""

    async def main():
        settings = {"lifecycle": {"gate_timeout": 3.0}}
        slow = exclusive(shop, diary, "b", before=lambda _: asyncio.sleep(20))
        async with shop.runtime(exclusive(shop, diary, "a"), slow, settings=settings) as runtime:
            await runtime.swap(*KEY, "a")
            swapping = asyncio.create_task(runtime.swap(*KEY, "b"))
            await asyncio.sleep(1)
            began = asyncio.get_running_loop().time()
            with pytest.raises(GateTimeout) as error:
                await runtime.use(*KEY).__aenter__()
            waited = asyncio.get_running_loop().time() - began
            await swapping
            async with runtime.use(*KEY) as thing:
                return waited, str(error.value), thing.use()

    assert run(main()) == (
        3.0,
        "adapter:port did not open its gate in time: it was swapped for more than 3 s",
        "b",
    )
    assert shop.faults() == []


def test_two_providers_take_turns_at_one_real_port(shop):
    """What could never overlap is swapped back and forth, and somebody always listens in the end."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        number = probe.getsockname()[1]

    class Listener:
        def __init__(self, name):
            self.name = name

        async def __aenter__(self):
            self.server = await asyncio.start_server(self.answer, "127.0.0.1", number, reuse_address=True)
            return self

        async def answer(self, reader, writer):
            writer.write(self.name.encode())
            writer.close()

        async def __aexit__(self, *_):
            self.server.close()
            await self.server.wait_closed()

    async def ask():
        reader, writer = await asyncio.open_connection("127.0.0.1", number)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer.decode()

    async def without():
        keys = {"adapter:port": {"mode": "overlap"}}
        one = Candidate(Key(*KEY), "one", lambda: Listener("one"), policies=EXCLUSIVE)
        two = Candidate(Key(*KEY), "two", lambda: Listener("two"))
        async with shop.runtime(one, two, settings={"lifecycle": {"keys": keys}}) as runtime:
            await runtime.swap(*KEY, "one")
            with pytest.raises(FactoryError, match="address already in use"):
                await runtime.swap(*KEY, "two")
            return await ask()

    async def with_mode():
        one = Candidate(Key(*KEY), "one", lambda: Listener("one"), policies=EXCLUSIVE)
        two = Candidate(Key(*KEY), "two", lambda: Listener("two"))
        async with shop.runtime(one, two) as runtime:
            answers = []
            for provider in ("one", "two", "one", "two"):
                await runtime.swap(*KEY, provider)
                answers.append(await ask())
            return answers

    assert asyncio.run(with_mode()) == ["one", "two", "one", "two"]
    assert asyncio.run(without()) == "one"  # and the key's setting has the last word about the mode


def test_what_can_be_known_before_is_found_out_before(shop, diary, run):
    """A factory that cannot be imported, or settings that do not fit, close nothing."""

    async def main():
        bad = Candidate(Key(*KEY), "bad", "no_such_module:make", policies=EXCLUSIVE)
        async with shop.runtime(exclusive(shop, diary, "a"), bad) as runtime:
            await runtime.swap(*KEY, "a")
            with pytest.raises(Permanent, match="no_such_module"):
                await runtime.swap(*KEY, "bad")
            with runtime.lease(*KEY) as thing:
                return thing.use(), list(diary.lines)

    assert run(main()) == ("a", ["open a"])
    assert shop.faults() == []


def fails(first=1):
    """A factory's inside that raises from its *first* call on."""
    calls = []

    def before(_):
        calls.append(1)
        if len(calls) >= first:
            raise OSError(f"taken {len(calls)}")

    return before


def test_if_the_new_one_fails_the_old_candidate_serves_again(shop, diary, run):
    """It is built anew, users at the gate get it, and the error says that it was rolled back."""

    async def main():
        async with shop.runtime(
            exclusive(shop, diary, "a"), exclusive(shop, diary, "b", before=fails())
        ) as runtime:
            await runtime.swap(*KEY, "a")
            with pytest.raises(RolledBack) as error:
                await runtime.swap(*KEY, "b")
            async with runtime.use(*KEY) as thing:
                slot = runtime.status().of(*KEY)
                return (
                    str(error.value),
                    thing.use(),
                    list(diary.lines),
                    slot.bound.number,
                    slot.rollbacks,
                    slot.phase,
                )

    assert run(main()) == (
        "adapter:port: b was rolled back: OSError: taken 1\n  still serving: a",
        "a",
        ["open a", "close a", "open a"],
        3,
        1,
        "ready",
    )
    assert shop.faults() == []


@pytest.mark.parametrize("way", ["startup", "veto", "confirm", "judge"])
def test_it_may_fail_at_any_step(shop, diary, run, way):
    """A probe or a plugin that says no has the same effect, before and after the switch."""

    class Judges:
        @hookimpl
        def oneiric_check_swap(self, new):
            return [Objection("not today")] if way == "veto" and new.candidate.provider == "b" else None

        @hookimpl
        def oneiric_check_bound(self, new):
            return [Objection("not today")] if way == "judge" and new.candidate.provider == "b" else None

    async def main():
        answers = {"startup": [False] * 9, "confirm": [True, False]}.get(way, [True] * 9)
        b = exclusive(shop, diary, "b", health=lambda _: answers.pop(0))
        settings = {"lifecycle": {"startup_timeout": 2.0}}
        async with shop.runtime(
            exclusive(shop, diary, "a"), b, settings=settings, plugins=[Judges()]
        ) as runtime:
            await runtime.swap(*KEY, "a")
            with pytest.raises(RolledBack) as error:
                await runtime.swap(*KEY, "b")
            async with runtime.use(*KEY) as thing:
                return error.value.serving, thing.use(), list(diary.lines)

    assert run(main()) == ("a", "a", ["open a", "close a", "open b", "close b", "open a"])
    assert shop.faults() == []


def test_if_both_fail_it_is_empty_and_the_error_names_both(shop, diary, run):
    """Nothing serves; the next user tries again."""

    async def main():
        a = exclusive(shop, diary, "a", before=fails(2))
        async with shop.runtime(a, exclusive(shop, diary, "b", before=fails())) as runtime:
            await runtime.swap(*KEY, "a")
            with pytest.raises(FactoryError) as error:
                await runtime.swap(*KEY, "b")
            slot = runtime.status().of(*KEY)
            with pytest.raises(FactoryError, match="taken 3"):
                await runtime.use(*KEY).__aenter__()
            return str(error.value), slot.phase, slot.bound

    assert run(main()) == (
        "adapter:port: b did not come up at step create: OSError: taken 1; "
        "and what served before did not come up again: OSError: taken 2\n  still serving: nothing",
        "failed",
        None,
    )
    assert shop.faults() == []


@attrs.frozen
class Number:
    number: int = 1


def table(number, *, provider="a", key="port", **more):
    return {"adapters": {"settings": {key: {provider: {"number": number}}}}, **more}


def test_what_comes_back_comes_back_with_its_own_settings(shop, diary, run):
    """New settings of the same provider that do not work are not used to bring the old one back."""

    def only_one(settings):
        if settings.number != 1:
            raise OSError(f"{settings.number} is taken")

    class Picky(diary.thing()):
        def __init__(self, key, provider, settings=None, needs=None):
            only_one(settings)
            super().__init__(key, provider, settings, needs)

    async def main():
        a = shop.candidate("port", "a", thing=Picky, policies=EXCLUSIVE, settings_class=Number)
        async with shop.runtime(a, settings=table(1)) as runtime:
            await runtime.swap(*KEY)
            (error,) = await runtime.apply(table(2))
            async with runtime.use(*KEY) as thing:
                first = (type(error), error.serving, thing.settings.number, runtime.status().of(*KEY).pending)
            # It is still known that this is not what the settings want.
            (again,) = await runtime.apply(table(2))
            (well,) = await runtime.apply(table(1)) or [None]
            async with runtime.use(*KEY) as thing:
                return first, type(again), well, thing.settings.number, runtime.status().of(*KEY).pending

    first, again, well, number, pending = run(main())
    assert first[:3] == (RolledBack, "a", 1)
    assert "2 is taken" in first[3]
    assert (again, well, number, pending) == (RolledBack, None, 1, "")
    assert shop.faults() == []


def steps_of(scenario):
    """Run *scenario(turns)* with 0, 1, 2, ... until it says that it was over before the cancellation came."""
    turns = 0
    while not scenario(turns):
        turns += 1
        assert turns < 200
    return turns


def test_cancelled_at_any_moment_the_gate_opens_again(shop, run):
    """One of the two candidates serves, whoever waited is served, and nothing is left open or closed twice."""

    def scenario(turns):
        shop.made.clear()
        diary = Diary(shop)

        async def main():
            slow = exclusive(shop, diary, "b", before=lambda _: asyncio.sleep(0))
            async with shop.runtime(
                exclusive(shop, diary, "a", before=lambda _: asyncio.sleep(0)), slow
            ) as runtime:
                await runtime.swap(*KEY, "a")
                swapping = asyncio.create_task(runtime.swap(*KEY, "b"))
                for _ in range(turns):
                    await asyncio.sleep(0)
                over = swapping.done()
                swapping.cancel()

                async def use():
                    async with runtime.use(*KEY) as thing:
                        assert not thing.closed
                        return thing.use()

                answers = await asyncio.gather(*(use() for _ in range(3)))
                await asyncio.wait({swapping})
                for _ in range(100):
                    if not runtime.status().operations:
                        break
                    await asyncio.sleep(0)
                with runtime.lease(*KEY) as thing:
                    now = thing.use()
                report = await runtime.swap(*KEY, "b", reload=True)
                return over, set(answers), now, swapping.cancelled(), report.new

        over, answers, now, cancelled, new = run(main())
        assert answers <= {"a", "b"}
        assert over or (cancelled and now == "a") or now == "b"
        assert new == "b"
        assert shop.faults() == []
        return over

    assert steps_of(scenario) > 10


def test_cancelled_while_it_hangs_the_old_candidate_is_back_at_once(shop, diary, run):
    """Nobody has to wait for the timeout of what is not wanted any more."""

    async def main():
        hangs = exclusive(shop, diary, "b", before=lambda _: asyncio.sleep(1000))
        async with shop.runtime(exclusive(shop, diary, "a"), hangs) as runtime:
            await runtime.swap(*KEY, "a")
            swapping = asyncio.create_task(runtime.swap(*KEY, "b"))
            await asyncio.sleep(1)
            began = asyncio.get_running_loop().time()
            swapping.cancel()
            async with runtime.use(*KEY) as thing:
                waited = asyncio.get_running_loop().time() - began
                await asyncio.wait({swapping})
                return thing.use(), waited, swapping.cancelled(), list(diary.lines)

    assert run(main()) == ("a", 0.0, True, ["open a", "close a", "open a"])
    assert shop.faults() == []


@pytest.mark.parametrize("turns", range(0, 40, 3))
def test_the_runtime_may_close_in_the_middle(shop, diary, run, turns):
    """Then nothing is brought back: everything ends, once, and users are told."""

    async def main():
        async with shop.runtime(exclusive(shop, diary, "a"), exclusive(shop, diary, "b")) as runtime:
            await runtime.swap(*KEY, "a")
            swapping = asyncio.create_task(runtime.swap(*KEY, "b"))
            for _ in range(turns):
                await asyncio.sleep(0)
            user = asyncio.create_task(runtime.use(*KEY).__aenter__())
            report = await runtime.close()
            ends = await asyncio.gather(swapping, user, return_exceptions=True)
            well = [isinstance(each, (OneiricError, SwapReport, shop.thing)) for each in ends]
            return report.left, report.clean, well

    assert run(main()) == ((), True, [True, True])
    assert diary.lines.count("open a") == 1
    assert shop.faults() == []


def test_it_closes_a_warm_spare_too(shop, diary, run):
    """Whatever of the slot is still open might hold the port."""

    async def main():
        settings = {"lifecycle": {"probation": 50.0}}
        overlaps = [shop.candidate("port", each, thing=diary.thing()) for each in ("a", "b")]
        async with shop.runtime(*overlaps, exclusive(shop, diary, "c"), settings=settings) as runtime:
            await runtime.swap(*KEY, "a")
            await runtime.swap(*KEY, "b")
            before = [each.provider for each in shop.open]
            await runtime.swap(*KEY, "c")
            slot = runtime.status().of(*KEY)
            return before, list(diary.lines), slot.phase, slot.others

    before, lines, phase, others = run(main())
    assert before == ["a", "b"]
    assert (sorted(lines[2:4]), lines[4:]) == (["close a", "close b"], ["open c"])
    assert (phase, others) == ("ready", ())
    assert shop.faults() == []


def test_a_spare_that_is_gone_is_not_gone_back_to(shop, diary, run):
    """After a swap that could not overlap, and failed, the way back leads to a new instance, not to a closed one."""

    async def main():
        settings = {"lifecycle": {"probation": 50.0}}
        overlaps = [shop.candidate("port", each, thing=diary.thing()) for each in ("a", "b")]
        async with shop.runtime(
            *overlaps, exclusive(shop, diary, "c", before=fails()), settings=settings
        ) as runtime:
            await runtime.swap(*KEY, "a")
            await runtime.swap(*KEY, "b")
            with pytest.raises(RolledBack):
                await runtime.swap(*KEY, "c")
            phase = runtime.status().of(*KEY).phase
            report = await runtime.rollback(*KEY)
            with runtime.lease(*KEY) as thing:
                return phase, report.new, thing.use(), thing.closed, len(shop.of("a"))

    assert run(main()) == ("ready", "a", "a", 0, 2)
    assert shop.faults() == []


def test_what_served_before_is_not_judged_again(shop, diary, run):
    """A freeze of all changes does not keep what served from coming back: the choice is between it and nothing."""
    frozen = []

    class Freeze:
        @hookimpl
        def oneiric_check_swap(self):
            return [Objection("no changes before Christmas")] if frozen else None

    async def main():
        both = exclusive(shop, diary, "a"), exclusive(shop, diary, "b")
        async with shop.runtime(*both, plugins=[Freeze()]) as runtime:
            await runtime.swap(*KEY, "a")
            frozen.append(True)
            with pytest.raises(RolledBack) as error:
                await runtime.swap(*KEY, "b")
            with runtime.lease(*KEY) as thing:
                return error.value.serving, thing.use()

    assert run(main()) == ("a", "a")
    assert shop.faults() == []


def test_what_was_built_from_it_is_built_anew(shop, diary, run):
    """A dependent cannot let go before there is a new one; it is named as a holder, and rebuilt on the new one."""

    async def main():
        top = shop.candidate("top", "t", needs=[Need(Key(*KEY))])
        settings = {"lifecycle": {"drain_timeout": 3.0}}
        both = exclusive(shop, diary, "a"), exclusive(shop, diary, "b")
        async with shop.runtime(*both, top, settings=settings) as runtime:
            await runtime.swap(*KEY, "a")
            async with runtime.use("adapter", "top") as thing:
                first = thing.needs["port"].provider
            report = await runtime.swap(*KEY, "b")
            end = await report.retired()
            for _ in range(100):
                await asyncio.sleep(0)
            async with runtime.use("adapter", "top") as thing:
                return (
                    first,
                    thing.needs["port"].provider,
                    end.holders,
                    runtime.status().of("adapter", "top").swaps,
                )

    assert run(main()) == ("a", "b", ("adapter:top, which was built from it",), 1)
    assert shop.faults() == []


def test_its_own_needs_are_met_before_anything_is_closed(shop, diary, run):
    """If what the new one needs does not come up, the old one was never touched."""

    async def main():
        b = exclusive(shop, diary, "b", needs=[Need(Key("adapter", "base"))])
        base = shop.candidate("base", "x", before=fails())
        async with shop.runtime(exclusive(shop, diary, "a"), b, base) as runtime:
            await runtime.swap(*KEY, "a")
            with pytest.raises(OneiricError, match="adapter:port -> adapter:base: .*taken 1"):
                await runtime.swap(*KEY, "b")
            return list(diary.lines)

    assert run(main()) == ["open a"]
    assert shop.faults() == []


def test_a_factory_that_uses_its_own_key_is_refused(shop, diary, run):
    """It would wait at the gate that it keeps shut."""

    async def main():
        runtime = None

        async def use_myself(_):
            async with runtime.use(*KEY):
                pass

        b = exclusive(shop, diary, "b", before=use_myself)
        async with shop.runtime(exclusive(shop, diary, "a"), b) as runtime:
            await runtime.swap(*KEY, "a")
            with pytest.raises(RolledBack, match="from inside its own operation"):
                await runtime.swap(*KEY, "b")
            with runtime.lease(*KEY) as thing:
                return thing.use()

    assert run(main()) == "a"
    assert shop.faults() == []


# --- in place ---------------------------------------------------------------------------------------------------------


def reconfigured(shop, how):
    """A thing that goes over to other settings by *how(self, settings)*."""

    class Reconfigured(shop.thing):
        seen = ()

        async def reconfigure(self, settings):
            self.seen = (*self.seen, settings.number)
            answer = how(self, settings)
            if asyncio.iscoroutine(answer):
                await answer
            self.settings = settings

    return Reconfigured


def in_place(shop, thing, provider="a", **more):
    return shop.candidate("port", provider, thing=thing, policies=IN_PLACE, settings_class=Number, **more)


@pytest.mark.parametrize("form", ["async", "sync", "returns an awaitable"])
def test_in_place_the_instance_itself_goes_over(shop, run, form):
    """``reconfigure(settings)`` is called with the new settings; the object and its users stay."""

    class Sync(shop.thing):
        def reconfigure(self, settings):
            self.settings = settings

    class Awaitable(shop.thing):
        def reconfigure(self, settings):
            async def later():
                self.settings = settings

            return later()

    thing = {"async": reconfigured(shop, lambda *_: None), "sync": Sync, "returns an awaitable": Awaitable}[
        form
    ]

    async def main():
        async with shop.runtime(in_place(shop, thing), settings=table(1)) as runtime:
            async with runtime.use(*KEY) as mine:
                (report,) = await runtime.apply(table(2))
                again = await runtime.apply(table(2))
                slot = runtime.status().of(*KEY)
                return (
                    report.outcome,
                    again,
                    mine.settings.number,
                    slot.bound.number,
                    slot.swaps,
                    await report.retired(),
                )

    assert run(main()) == ("reconfigured", [], 2, 1, 1, None)
    assert len(shop.made) == 1
    assert shop.faults() == []


def raises_at(*numbers):
    def how(_, settings):
        if settings.number in numbers:
            raise ValueError(f"no {settings.number}")

    return how


def test_if_that_fails_it_goes_back(shop, run):
    """The old settings are given again, and the error says that it was rolled back."""

    async def main():
        async with shop.runtime(
            in_place(shop, reconfigured(shop, raises_at(2))), settings=table(1)
        ) as runtime:
            await runtime.swap(*KEY)
            (error,) = await runtime.apply(table(2))
            async with runtime.use(*KEY) as thing:
                pending = runtime.status().of(*KEY).pending
                (report,) = await runtime.apply(table(3))
                return str(error), thing.seen, thing.settings.number, pending, report.outcome

    assert run(main()) == (
        "adapter:port: a was rolled back: reconfigure: ValueError: no 2\n  still serving: a",
        (2, 1, 3),
        3,
        "the settings want another one: adapter:port: a was rolled back: reconfigure: ValueError: no 2",
        "reconfigured",
    )
    assert len(shop.made) == 1
    assert shop.faults() == []


def test_if_it_is_not_well_with_the_new_settings_it_goes_back(shop, run):
    """The confirming probe has its say here, too."""

    def sick_at_two(thing, settings):
        thing.well = settings.number != 2

    async def main():
        async with shop.runtime(
            in_place(shop, reconfigured(shop, sick_at_two)), settings=table(1)
        ) as runtime:
            await runtime.swap(*KEY)
            (error,) = await runtime.apply(table(2))
            async with runtime.use(*KEY) as thing:
                return type(error), thing.seen, thing.settings.number, (await runtime.health(*KEY)).status

    assert run(main()) == (RolledBack, (2, 1), 1, "ok")
    assert shop.faults() == []


def test_if_going_back_fails_too_it_is_built_anew(shop, run):
    """What is in no known state does not serve: the candidate is built again, with the settings from before."""

    async def main():
        async with shop.runtime(
            in_place(shop, reconfigured(shop, raises_at(1, 2))), settings=table(1)
        ) as runtime:
            await runtime.swap(*KEY)
            (error,) = await runtime.apply(table(2))
            async with runtime.use(*KEY) as thing:
                slot = runtime.status().of(*KEY)
                return str(error).splitlines()[0], thing.seen, thing.settings.number, slot.bound.number

    assert run(main()) == (
        "adapter:port: a was rolled back: reconfigure: ValueError: no 2; "
        "and going back to the settings before failed: reconfigure: ValueError: no 1",
        (),
        1,
        2,
    )
    assert len(shop.made) == 2
    assert shop.faults() == []


def test_a_reconfigure_that_hangs_is_ended_and_taken_back(shop, run):
    """It is given up at the deadline, and only when it has ended is it asked to go back."""

    async def hang(thing, settings):
        if settings.number == 2:
            try:
                await asyncio.sleep(1000)
            finally:
                await asyncio.sleep(1)
                thing.seen = (*thing.seen, "ended")

    async def main():
        settings = table(1, lifecycle={"create_timeout": 4.0})
        async with shop.runtime(in_place(shop, reconfigured(shop, hang)), settings=settings) as runtime:
            await runtime.swap(*KEY)
            began = asyncio.get_running_loop().time()
            (error,) = await runtime.apply(table(2, lifecycle={"create_timeout": 4.0}))
            took = asyncio.get_running_loop().time() - began
            async with runtime.use(*KEY) as thing:
                return type(error), error.reason, took, thing.seen, thing.settings.number

    assert run(main()) == (RolledBack, "reconfigure took longer than 4 s", 5.0, (2, "ended", 1), 1)
    assert shop.faults() == []


def test_a_reconfigure_that_hangs_in_a_thread_is_given_up_with_its_instance(shop, run):
    """Nobody can end it, so what it works on does not serve any more: it is built anew, and closed when it comes back."""
    leave = threading.Event()

    class Hangs(shop.thing):
        def reconfigure(self, settings):
            leave.wait()
            self.settings = settings

    async def main():
        limits = {"create_timeout": 4.0}
        async with shop.runtime(in_place(shop, Hangs), settings=table(1, lifecycle=limits)) as runtime:
            await runtime.swap(*KEY)
            (error,) = await runtime.apply(table(2, lifecycle=limits))
            with runtime.lease(*KEY) as thing:
                seen = (
                    type(error),
                    thing.settings.number,
                    [each.closed for each in shop.made],
                    thing is shop.made[1],
                )
            leave.set()
            while runtime.status().threads:
                await asyncio.sleep(0.01)
            await asyncio.sleep(1)
            return *seen, [each.closed for each in shop.made], str(error).splitlines()[0]

    assert run(main()) == (
        RolledBack,
        1,
        [0, 0],
        True,
        [1, 0],
        "adapter:port: a was rolled back: reconfigure took longer than 4 s; "
        "and going back to the settings before failed: reconfigure does not end",
    )
    assert shop.faults() == []


def test_cancelled_at_any_moment_it_has_the_old_settings_or_the_new(shop, run):
    """Never one by what it says and the other by what it is."""

    def scenario(turns):
        shop.made.clear()

        async def main():
            wait = reconfigured(shop, lambda *_: asyncio.sleep(0))
            async with shop.runtime(in_place(shop, wait), settings=table(1)) as runtime:
                await runtime.swap(*KEY)
                applying = asyncio.create_task(runtime.apply(table(2)))
                for _ in range(turns + 1):  # one that never began has changed no settings
                    await asyncio.sleep(0)
                over = applying.done()
                applying.cancel()
                await asyncio.wait({applying})
                for _ in range(100):
                    await asyncio.sleep(0)
                pending = runtime.status().of(*KEY).pending
                with runtime.lease(*KEY) as thing:
                    number = thing.settings.number
                reports = await runtime.apply(table(2))
                with runtime.lease(*KEY) as thing:
                    return over, number, pending != "", len(reports), thing.settings.number

        over, number, pending, reports, after = run(main())
        assert (number, pending, reports) in {(1, True, 1), (2, False, 0)}
        assert after == 2
        assert shop.faults() == []
        return over

    assert steps_of(scenario) > 4


def test_another_provider_cannot_come_in_place(shop, diary, run):
    """Then it is swapped as exclusive ones are."""

    async def main():
        a = shop.candidate("port", "a", thing=diary.thing(), policies=IN_PLACE)
        b = shop.candidate("port", "b", thing=diary.thing(), policies=IN_PLACE)
        async with shop.runtime(a, b) as runtime:
            await runtime.swap(*KEY, "a")
            report = await runtime.swap(*KEY, "b")
            return report.outcome, list(diary.lines)

    assert run(main()) == ("swapped", ["open a", "close a", "open b"])
    assert shop.faults() == []


def test_in_place_without_the_method_is_said(shop, run):
    """And what serves goes on."""

    async def main():
        a = shop.candidate("port", "a", policies=IN_PLACE, settings_class=Number)
        async with shop.runtime(a, settings=table(1)) as runtime:
            await runtime.swap(*KEY)
            (error,) = await runtime.apply(table(2))
            with runtime.lease(*KEY) as thing:
                return str(error).splitlines()[0], thing.settings.number

    first, number = run(main())
    assert first == (
        "adapter:port: a did not come up at step load: "
        "it is swapped in place, and has no reconfigure(settings)"
    )
    assert number == 1
    assert shop.faults() == []


@pytest.mark.parametrize(
    ("mode", "lines"), [("overlap", ["open a", "open b", "close a"]), ("exclusive", None)]
)
def test_the_settings_of_the_key_have_the_last_word(shop, diary, run, mode, lines):
    """``[lifecycle.keys]`` names the mode, whatever the candidates ask for."""

    async def main():
        policies = EXCLUSIVE if mode == "overlap" else Policies()
        both = [shop.candidate("port", each, thing=diary.thing(), policies=policies) for each in "ab"]
        settings = {"lifecycle": {"keys": {"adapter:port": {"mode": mode}}}}
        async with shop.runtime(*both, settings=settings) as runtime:
            await runtime.swap(*KEY, "a")
            report = await runtime.swap(*KEY, "b")
            await report.retired()
            return list(diary.lines)

    assert run(main()) == (lines or ["open a", "close a", "open b"])
    assert shop.faults() == []


def test_the_stricter_of_the_two_decides(shop, diary, run):
    """One that cannot overlap cannot overlap with anybody, whether it comes or goes."""

    async def main():
        a = exclusive(shop, diary, "a")
        b = shop.candidate("port", "b", thing=diary.thing())
        async with shop.runtime(a, b) as runtime:
            await runtime.swap(*KEY, "a")
            await runtime.swap(*KEY, "b")
            await runtime.swap(*KEY, "a")
            return list(diary.lines)

    assert run(main()) == ["open a", "close a", "open b", "close b", "open a"]
    assert shop.faults() == []


def test_a_first_activation_needs_no_mode(shop, diary, run):
    """Where nothing is bound there is nothing to overlap with; a refusal is an ordinary one."""

    async def main():
        async with shop.runtime(exclusive(shop, diary, "a", before=fails())) as runtime:
            with pytest.raises(FactoryError) as error:
                await runtime.swap(*KEY)
            assert not isinstance(error.value, Vetoed)
            return runtime.status().of(*KEY).phase

    assert run(main()) == "failed"
    assert shop.made == []
