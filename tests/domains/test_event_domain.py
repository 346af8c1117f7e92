"""The domain of events: everybody who wants to know is told, once, and nobody suffers from another."""

import asyncio

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oneiric_hookspecs import Candidate, Envelope, Filter, Key, PluginError, Retry, StateError, Subscription

from oneiric import assemble
from oneiric.plugins._topics import matches


class Handler:
    """Remembers what it was told; does what it is made with."""

    def __init__(self, do=None):
        self.do, self.told, self.inside, self.most = do, [], 0, 0

    async def handle(self, envelope):
        self.told.append(envelope)
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            return await self.do(envelope) if self.do is not None else envelope.payload
        finally:
            self.inside -= 1


def handler(name, do=None, **subscription):
    """A candidate whose handler wants to know all of ``order``."""
    instance = Handler(do)
    data = Subscription(**{"topics": ["order.**"]} | subscription)
    return instance, Candidate.ready(Key("event", name), "mine", instance, data=data)


def runtime_of(*candidates, **settings):
    """An assembled runtime with a store in memory, and these."""
    runtime = assemble({"state": {"url": "memory:"}, **settings}, environment=False)
    runtime.register(*candidates)
    return runtime


def outcomes(deliveries):
    """Who, and what came of it."""
    return [(each.handler, each.outcome, each.result) for each in deliveries]


async def fail(envelope):
    raise KeyError("lost")


def test_everybody_who_wants_to_know_is_told(run):
    """The highest priority first, then by name; what they return comes back in that order."""
    _, a = handler("a")
    _, b = handler("b", priority=5)
    _, c = handler("c", topics=["mail.sent"])

    async def scenario():
        async with runtime_of(a, b, c) as runtime:
            return outcomes(await runtime.domain("event").emit("order.paid", {"total": 5}))

    assert run(scenario()) == [("b", "handled", {"total": 5}), ("a", "handled", {"total": 5})]


def test_an_event_that_nobody_wants_is_no_error(run):
    """It costs nothing, and tells nobody."""

    async def scenario():
        async with runtime_of() as runtime:
            return await runtime.domain("event").emit("order.paid")

    assert run(scenario()) == []


def test_what_a_handler_raises_stays_with_it(run):
    """Its siblings handle the event, and the caller goes on."""
    _, bad = handler("bad", fail, priority=1)
    _, fine = handler("fine")

    async def scenario():
        async with runtime_of(bad, fine) as runtime:
            return await runtime.domain("event").emit("order.paid", 5)

    first, second = run(scenario())
    assert (first.outcome, first.error, first.attempts) == ("failed", "KeyError: 'lost'", 1)
    assert (second.outcome, second.result) == ("handled", 5)


def test_a_handler_that_cancels_itself_takes_nobody_with_it(run):
    """Each is told in a task of its own."""

    async def cancel(envelope):
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    _, bad = handler("bad", cancel)
    _, fine = handler("fine")

    async def scenario():
        async with runtime_of(bad, fine) as runtime:
            return outcomes(await runtime.domain("event").emit("order.paid", 5))

    assert run(scenario()) == [("bad", "failed", None), ("fine", "handled", 5)]


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_events_at_once_than_the_handler_wants(limit, run):
    """Eight events; the others wait their turn."""

    async def slowly(envelope):
        await asyncio.sleep(1)

    instance, candidate = handler("a", slowly, concurrency=limit)

    async def scenario():
        async with runtime_of(candidate) as runtime:
            emit = runtime.domain("event").emit
            await asyncio.gather(*(emit("order.paid", number) for number in range(8)))
            return instance.most, [envelope.payload for envelope in instance.told]

    assert run(scenario()) == (limit, list(range(8)))


def test_a_waiter_that_is_cancelled_gives_its_turn_away(run):
    """After each step of the loop: the others are handled, never more than one at a time."""

    async def slowly(envelope):
        await asyncio.sleep(1)

    async def scenario(steps):
        instance, candidate = handler("a", slowly, concurrency=1)
        async with runtime_of(candidate) as runtime:
            emit = runtime.domain("event").emit
            waiting = [asyncio.ensure_future(emit("order.paid", number)) for number in range(4)]
            for _ in range(steps):
                await asyncio.sleep(0.25)
            waiting[1].cancel()
            waiting[2].cancel()
            await asyncio.wait(waiting)
            again = await emit("order.paid", 9)
            return instance.most, instance.inside, outcomes(again), waiting[3].exception()

    for steps in range(14):
        assert run(scenario(steps)) == (1, 0, [("a", "handled", None)], None)


def test_a_handler_that_takes_too_long_is_stopped(run):
    """Its limit is its own, and nobody else's."""

    async def hang(envelope):
        await asyncio.sleep(60)

    async def time_out(envelope):
        raise TimeoutError("the printer")

    _, slow = handler("slow", hang, timeout=2.0, priority=1)
    _, own = handler("own", time_out)

    async def scenario():
        async with runtime_of(slow, own) as runtime:
            began = asyncio.get_running_loop().time()
            deliveries = await runtime.domain("event").emit("order.paid")
            return [(e.outcome, e.error) for e in deliveries], asyncio.get_running_loop().time() - began

    assert run(scenario()) == (
        [("timed_out", "it took longer than 2 s"), ("failed", "TimeoutError: the printer")],
        pytest.approx(2.0),
    )


def test_what_fails_is_tried_again_as_the_handler_wants(run):
    """How often is told, and each attempt has its limit."""
    left = [OSError(), OSError()]

    async def flaky(envelope):
        if left:
            raise left.pop()
        return "at last"

    _, candidate = handler("a", flaky, retry=Retry(attempts=3, jitter=0.0))

    async def scenario():
        async with runtime_of(candidate) as runtime:
            delivery = (await runtime.domain("event").emit("order.paid"))[0]
            return delivery.outcome, delivery.result, delivery.attempts

    assert run(scenario()) == ("handled", "at last", 3)


def test_of_the_exclusive_handlers_only_the_first_that_wants_it_is_told(run):
    """Others are told whoever else is."""
    rich = [Filter("total", "gte", 100)]
    _, first = handler("first", fanout="exclusive", priority=9, filters=rich)
    _, second = handler("second", fanout="exclusive", priority=5)
    _, third = handler("third", fanout="exclusive", priority=1)
    _, always = handler("always")

    async def scenario():
        async with runtime_of(first, second, third, always) as runtime:
            emit = runtime.domain("event").emit
            return [[d.handler for d in await emit("order.paid", {"total": t})] for t in (100, 99)]

    assert run(scenario()) == [["first", "always"], ["second", "always"]]


FILTERS = {
    "equals": ("equals", 5, {"n": 5}, {"n": True}),
    "not_equals": ("not_equals", 5, {"n": 6}, {"n": 5}),
    "any_of": ("any_of", [1, 2], {"n": 2}, {"n": 3}),
    "exists": ("exists", None, {"n": None}, {}),
    "gt": ("gt", 5, {"n": 6}, {"n": 5}),
    "gte": ("gte", 5, {"n": 5}, {"n": 4}),
    "lt": ("lt", 5, {"n": 4}, {"n": 5}),
    "lte": ("lte", 5, {"n": 5}, {"n": 6}),
    "matches": ("matches", "a.c", {"n": "abc"}, {"n": "ab"}),
    "contains": ("contains", "b", {"n": ["a", "b"]}, {"n": ["a"]}),
}


@pytest.mark.parametrize("case", FILTERS)
def test_a_handler_is_told_of_what_its_filters_let_through(case, run):
    """Each operator; and a payload that is no table is no error."""
    op, value, yes, no = FILTERS[case]
    _, candidate = handler("a", filters=[Filter("n", op, value)])

    async def scenario():
        async with runtime_of(candidate) as runtime:
            emit = runtime.domain("event").emit
            return [len(await emit("order.paid", payload)) for payload in (yes, no)]

    assert run(scenario()) == [1, 0]


REFUSED = {
    "op": ({"filters": [{"path": "n", "op": "is", "value": 1}]}, "there is no op 'is'"),
    "fanout": ({"fanout": "anycast"}, "there is no fan-out 'anycast'"),
    "topic": ({"topics": ["order.*x"]}, "'order.*x' is not a pattern of topics"),
    "no topics": ({"topics": []}, "a subscription names at least one topic"),
    "concurrency": ({"concurrency": 0}, "the concurrency is a whole number, 1 or more, found 0"),
    "true": ({"concurrency": True}, "the concurrency is a whole number, 1 or more, found True"),
    "priority": ({"priority": 1.5}, "the priority is a whole number, found 1.5"),
    "timeout": ({"timeout": 0}, "the timeout is a number of seconds above 0, found 0"),
    "regex": (
        {"filters": [{"path": "n", "op": "matches", "value": "("}]},
        "source application: its candidate number 1: candidate event:a 'mine': its filter number 1: '(' is no pattern",
    ),
    "value": (
        {"filters": [{"path": "n", "op": "any_of", "value": 5}]},
        "source application: its candidate number 1: candidate event:a 'mine': its filter number 1: "
        "op any_of compares to a list of values",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused_when_it_is_registered(case):
    """Not when the first event comes."""
    options, message = REFUSED[case]

    with pytest.raises(PluginError) as caught:
        options = dict(options)
        if "filters" in options:
            options["filters"] = [Filter(**each) for each in options["filters"]]
        runtime_of(handler("a", **options)[1])

    assert caught.value.message.startswith(message)


def test_a_handler_without_a_subscription_is_refused():
    """Nobody would ever tell it."""
    with pytest.raises(
        PluginError, match="the domain event expects a Subscription as its data, found nothing"
    ):
        runtime_of(Candidate.ready(Key("event", "a"), "mine", Handler()))


def test_new_handlers_are_seen_at_once_and_old_ones_no_more(run):
    """What is registered counts, at every event."""
    _, a = handler("a")
    _, b = handler("b")

    async def scenario():
        async with runtime_of(a) as runtime:
            emit = runtime.domain("event").emit
            seen = [[d.handler for d in await emit("order.paid")]]
            runtime.register(b, source="shop")
            seen.append([d.handler for d in await emit("order.paid")])
            runtime.withdraw("application")
            seen.append([d.handler for d in await emit("order.paid")])
            return seen

    assert run(scenario()) == [["a"], ["a", "b"], ["b"]]


def test_what_a_handler_emits_belongs_to_the_same_story(run):
    """Correlation and causation follow; an event from outside begins a story of its own."""

    async def scenario():
        async def pass_on(envelope):
            await runtime.domain("event").emit("mail.sent")

        _, first = handler("first", pass_on)
        second, last = handler("last", topics=["mail.*"])
        async with runtime_of(first, last) as runtime:
            cause = Envelope("order.paid")
            await runtime.domain("event").send(cause)
            await runtime.domain("event").emit("mail.sent")
            told, alone = second.told
            return (
                (told.correlation, told.causation) == (cause.id, cause.id),
                (alone.correlation, alone.causation) == (alone.id, None),
            )

    assert run(scenario()) == (True, True)


def test_a_caller_that_is_cancelled_stops_the_handlers(run):
    """Nothing goes on behind its back."""

    async def hang(envelope):
        await asyncio.sleep(60)

    instance, candidate = handler("a", hang)

    async def scenario():
        async with runtime_of(candidate) as runtime:
            emitting = asyncio.ensure_future(runtime.domain("event").emit("order.paid"))
            await asyncio.sleep(1)
            emitting.cancel()
            await asyncio.wait({emitting})
            await asyncio.sleep(0.1)
            return instance.inside, emitting.cancelled()

    assert run(scenario()) == (0, True)


def test_what_could_not_be_handled_is_kept_and_can_be_sent_again(run):
    """With why, and how often it was tried."""
    broken = [True]

    async def maybe(envelope):
        if broken:
            raise OSError("no paper")

    instance, candidate = handler("a", maybe, retry=Retry(attempts=2, backoff=0.0))
    _, careless = handler("careless", fail, dead_letter=False)

    async def scenario():
        async with runtime_of(candidate, careless) as runtime:
            events = runtime.domain("event")
            await events.emit("order.paid", {"total": 5}, headers={"tenant": "a"})
            letter = (await events.dead_letters())[0]
            again = await events.redeliver(letter.id)
            still = [each.id for each in await events.dead_letters()]
            broken.clear()
            last = await events.redeliver(letter.id)
            nothing = [await events.redeliver(letter.id), await events.drop(letter.id)]
            return (
                letter,
                again.outcome,
                still == [letter.id],
                last.outcome,
                nothing,
                await events.dead_letters(),
            )

    letter, *rest = run(scenario())

    assert (letter.handler, letter.error, letter.attempts) == ("a", "OSError: no paper", 2)
    assert letter.envelope == instance.told[0]
    assert rest == ["failed", True, "handled", [None, False], []]


def test_a_dead_letter_that_cannot_be_read_can_be_dropped(run):
    """The error says so, and what it says works; other letters are redelivered all the same."""
    broken = [True]

    async def maybe(envelope):
        if broken:
            raise OSError("no paper")

    _, candidate = handler("a", maybe)

    async def scenario():
        async with runtime_of(candidate) as runtime:
            events = runtime.domain("event")
            await events.emit("order.paid")
            good = (await events.dead_letters())[0].id
            await runtime.state.put("dead-letters/a/odd", "no letter")
            with pytest.raises(StateError) as caught:
                await events.dead_letters()
            broken.clear()
            delivery = await events.redeliver(good)
            return (
                str(caught.value),
                delivery.outcome,
                await events.drop("a/odd"),
                await events.dead_letters(),
            )

    assert run(scenario()) == (
        "dead-letters/a/odd is no dead letter\n  oneiric event dead drop a/odd",
        "handled",
        True,
        [],
    )


def test_an_event_waits_for_a_handler_that_does_not_serve(run):
    """It is told when the handler serves again; without an outbox it is not."""
    instance, candidate = handler("a", outbox=True)
    careless, other = handler("careless")

    def broken():
        raise OSError("no database")

    async def scenario():
        bad = [attrs.evolve(each, provider="bad", factory=broken, priority=9) for each in (candidate, other)]
        async with runtime_of(candidate, other, *bad) as runtime:
            events = runtime.domain("event")
            first = await events.emit("order.paid", 1)
            letters = await events.dead_letters()
            await runtime.swap("event", "a", "mine")
            await runtime.swap("event", "careless", "mine")
            await asyncio.sleep(1)
            kept = await runtime.state.scan("outbox/")
            return [(each.outcome, each.kept) for each in first], letters, kept

    assert run(scenario()) == ([("not_serving", True), ("not_serving", False)], [], [])
    assert ([each.payload for each in instance.told], careless.told) == ([1], [])


def test_the_outbox_is_delivered_by_the_next_process(tmp_path):
    """What was kept when the process ended is told when the next one starts."""
    settings = {"state": {"url": f"sqlite:{tmp_path / 'state.db'}"}}

    async def first():
        _, candidate = handler("a", outbox=True)
        runtime = assemble(settings, environment=False)
        runtime.register(candidate)
        await runtime.start()
        events = runtime.domain("event")
        gone = asyncio.Event()

        async def hang(envelope):
            gone.set()
            await asyncio.sleep(60)

        runtime.register(handler("a", hang, outbox=True, timeout=None)[1])
        emitting = asyncio.ensure_future(events.emit("order.paid", {"total": 5}))
        await gone.wait()
        emitting.cancel()
        await asyncio.wait({emitting})
        await runtime.close()

    async def second():
        instance, candidate = handler("a", outbox=True)
        runtime = assemble(settings, environment=False)
        runtime.register(candidate)
        async with runtime:
            while not instance.told:
                await asyncio.sleep(0.01)
            while (await runtime.state.scan("outbox/")) != []:
                await asyncio.sleep(0.01)
            return [(each.topic, each.payload) for each in instance.told]

    asyncio.run(first())
    assert asyncio.run(second()) == [("order.paid", {"total": 5})]


def test_an_event_that_was_handled_is_not_kept(run):
    """The outbox is empty when everything is done."""
    _, candidate = handler("a", outbox=True)

    async def scenario():
        async with runtime_of(candidate) as runtime:
            await runtime.domain("event").emit("order.paid")
            return await runtime.state.scan("outbox/")

    assert run(scenario()) == []


SEGMENTS = st.lists(st.sampled_from(["a", "b", "*", "**"]), min_size=1, max_size=6)


def by_definition(pattern, topic):
    """The same, as one would say it."""
    if not pattern:
        return not topic
    if pattern[0] == "**":
        return any(by_definition(pattern[1:], topic[skip:]) for skip in range(len(topic) + 1))
    return bool(topic) and pattern[0] in ("*", topic[0]) and by_definition(pattern[1:], topic[1:])


@given(SEGMENTS, st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=6))
def test_patterns_mean_what_they_say(pattern, topic):
    """``*`` is one segment, ``**`` any number, none too."""
    assert matches(".".join(pattern), ".".join(topic)) == by_definition(pattern, topic)


def test_a_pattern_made_to_be_slow_is_not():
    """The time grows with the product of the lengths."""
    assert not matches(".".join(["**"] * 60 + ["x"]), ".".join(["a"] * 120))
