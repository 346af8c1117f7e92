"""The words that speak to processes which keep going, beside some that do, and beside none.

The processes of most tests are ``Fake``: what commands see of one, in a thread, on the real state store.  Those at the
end are ``oneiric orchestrate``.
"""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time

import attrs
import pytest
from oneiric_hookspecs import Key

from oneiric.plugins.stores.sqlite import SqliteStore
from oneiric.state import Answered, Desired, Event, History, Node, Observed, Requests, Seen, this_process

#: For how many seconds operators say things at once.
#: For how many seconds many operators do what they like at once; ``ONEIRIC_FUZZ`` counts schedules elsewhere.
SECONDS = float(os.environ.get("ONEIRIC_OPERATORS", "4"))
STOCK, LAGER = Key.of("adapter", "stock"), Key.of("adapter", "lager")
PLUGIN = """
    import asyncio
    import sys
    from functools import partial
    from pathlib import Path

    import attrs
    from oneiric_hookspecs import Candidate, Health, Key, NotServing, Secret, hookimpl

    class Part:
        def __init__(self, name):
            self.name = name

        def health(self):
            return True

    class Ill:
        def health(self):
            return Health("failed", "it says so")

    @hookimpl
    def oneiric_candidates():
        for name in ("stock", "lager"):
            key = Key.of("adapter", name)
            yield Candidate(key, "old", partial(Part, "old"), priority=1)
            for provider in ("new", "other", "mute"):
                yield Candidate(key, provider, partial(Part, provider))
            yield Candidate(key, "ill", Ill)
        yield Candidate(Key.of("adapter", "secretive"), "it", secretive, settings_class=Settings)

    @attrs.frozen
    class Settings:
        key: Secret

    async def secretive(*, settings: Settings):
        return Part("it")

    class Worker:
            # Uses a part again and again, and writes down what it gets.

        @hookimpl
        async def oneiric_started(self, host):
            if "orchestrate" in sys.argv:
                host.spawn(self.work(host), name="work")

        async def work(self, host):
            number = 0
            while True:
                try:
                    async with host.use("adapter", "stock") as part:
                        got = part.name
                except NotServing as error:
                    got = type(error).__name__
                number += 1
                Path("work.new").write_text(f"{number} {got}")
                Path("work.new").replace("work")
                await asyncio.sleep(0.01)
"""
TOML = """
    [app]
    name = "shop"
    plugins = ["shop", "shop:Worker"]
    state_dir = "state"

    [lifecycle]
    startup_timeout = 0.3

    [secrets]
    key = "env:SHOP_KEY"

    [adapters.settings.secretive.it]
    key = { "$secret" = "key" }

    [orchestrate]
    start = ["adapter:stock", "adapter:lager", "adapter:secretive"]
"""


class Fake(threading.Thread):
    """What commands see of a process that keeps going.

    Args:
        path: The state store.
        name: The node's.
        parts: Who serves what, at first.
        deaf: Whether it hears nothing.
        holds: Providers that it refuses because the part is held.
    """

    def __init__(self, path, name="one", parts=None, *, deaf=False, holds=(), previous=None):
        super().__init__(daemon=True)
        self.path, self.named, self.deaf, self.holds = path, name, deaf, holds
        self.parts = {STOCK: "old"} if parts is None else dict(parts)
        self.previous = dict.fromkeys(self.parts, previous)
        self.asked, self.pins, self.ready, self.over = [], {}, threading.Event(), threading.Event()
        self.draining, self.error = {}, None

    def __enter__(self):
        self.start()
        assert self.ready.wait(20)
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join(20)
        assert self.error is None, self.error

    def run(self):
        try:
            asyncio.run(self.live())
        except BaseException as error:
            self.error = error
            self.ready.set()
            raise

    async def live(self):
        self.store = await SqliteStore.open(self.path, look_every=0.02)
        self.desired, self.observed = Desired(self.store), Observed(self.store, self.named)
        self.requests, self.history = Requests(self.store), History(self.store)
        wanted = await self.desired.wanted()
        self.pins, revision, since = dict(wanted.pins), wanted.revision, time.time()
        for key, provider in self.parts.items():
            await self.observed.put(
                key, Seen("ready", provider, 1, since, previous=self.previous.get(key), health="ok")
            )
        await self.beat(revision)
        self.ready.set()
        while not self.over.is_set():
            if not self.deaf and await self.desired.revision() != revision:
                wanted = await self.desired.wanted()
                revision = wanted.revision
                await self.take(wanted)
                await self.beat(revision)
            for number, asked in (await self.requests.open()).items():
                if not self.deaf and asked.at >= since and number not in self.asked:
                    self.asked.append(number)
                    await self.answer(number, asked)
            await asyncio.sleep(0.01)
        await self.observed.clear()
        await self.observed.beat(attrs.asdict(self.me(revision)) | {"closing": True}, 0.001)
        await self.store.close()

    def me(self, revision):
        host, pid, birth = this_process()
        return Node(host, pid, birth, 1.0, "shop", revision)

    async def beat(self, revision):
        facts = attrs.asdict(self.me(revision))
        del facts["more"]
        await self.observed.beat(facts, 60.0)

    async def take(self, wanted):
        now = time.time()
        for key in {*self.pins, *wanted.pins}:
            if self.pins.get(key) != wanted.pins.get(key):
                await self.act(key, wanted.pins.get(key), wanted.revision)
        self.pins = dict(wanted.pins)
        for key, provider in list(self.parts.items()):
            mode = wanted.mode(key, now)
            if mode == "drain":
                await self.observed.put(key, Seen("drained", None, mode=mode, desired=wanted.revision))
                self.draining[key] = provider
            elif key in self.draining:
                del self.draining[key]
                await self.observed.put(key, Seen("ready", provider, mode=mode, desired=wanted.revision))

    async def act(self, key, pin, revision):
        old, provider = self.parts.get(key), "old" if pin is None else pin.provider
        if provider == "mute":
            return
        if provider in self.holds and not pin.override:
            came = {"outcome": "held", "told": f"{key} is held by ann", "exit": 4}
        elif provider == "ill":
            told = f"{key}: ill was rolled back: it says so"
            came = {"outcome": "rolled_back", "told": told, "exit": 4}
        elif provider == old or (pin is None and old is None):
            came = {"outcome": "unchanged"}
        else:
            self.parts[key], self.previous[key] = provider, old
            came = {"outcome": "activated" if old is None else "swapped", "ms": 12.0}
        seen = Seen(
            "ready", self.parts.get(key), 2, previous=self.previous.get(key), desired=revision, **came
        )
        await self.observed.put(key, seen)

    async def answer(self, number, asked):
        if asked.verb == "reload":
            key = Key.parse(asked.key)
            provider = self.parts.get(key)
            outcome = "swapped" if asked.arguments.get("reload") else "unchanged"
            result = {"key": asked.key, "outcome": outcome, "old": provider, "new": provider, "ms": 3.0}
            answered = Answered(True, 0, "", result if provider else {"outcome": "not_bound"})
        elif asked.verb == "rotate":
            rebuilt = [{"key": "adapter:stock", "outcome": "swapped", "told": ""}]
            answered = Answered(True, 0, "", {"rotated": ["env:SHOP_KEY"], "rebuilt": rebuilt})
        else:
            answered = Answered(False, 7, "the stream is not signed", [])
        await self.requests.answer(number, self.named, answered)


@pytest.fixture
def shop(folder, monkeypatch):
    """A project with two parts, and its state in a folder of its own."""
    folder.write("shop.py", PLUGIN)
    folder.write("oneiric.toml", TOML)
    monkeypatch.setenv("ONEIRIC_ACTOR", "ann")
    folder.environment["ONEIRIC_ACTOR"] = "ann"
    folder.environment["PYTHONPATH"] += os.pathsep + str(folder.path)
    return folder


@pytest.fixture
def fake(shop):
    """``fake(name, ...)``: a process that keeps going, in a block."""
    return lambda *words, **more: Fake(shop.path / "state" / "state.db", *words, **more)


def in_store(shop, body):
    """What ``body(store)`` gives."""

    async def main():
        store = await SqliteStore.open(shop.path / "state" / "state.db")
        try:
            return await body(store)
        finally:
            await store.close()

    return asyncio.run(main())


def pin_of(shop, key=STOCK):
    pin = in_store(shop, lambda store: Desired(store).pinned(key))
    return None if pin is None else (pin.provider, pin.mark.actor)


def events(shop, *facts):
    """What is in the history, oldest first."""
    told = in_store(shop, lambda store: History(store).read(limit=1_000_000))
    return [tuple(getattr(each.event, fact) for fact in facts) for each in told]


# --- beside no process -------------------------------------------------------------------------------------------------


def test_a_choice_beside_nobody_counts_from_the_next_start(shop):
    """It is stored, and that is said."""
    ended = shop.run("swap", "adapter", "stock", "new")

    said = (
        "adapter:stock is pinned to new; no process of this application runs: it counts from the next start\n"
    )
    assert (ended.code, ended.out, ended.err) == (0, said, "")
    assert pin_of(shop) == ("new", "ann")


def test_what_is_stored_is_what_explain_and_list_say(shop):
    """As it will be at the next start, with whose pin it is."""
    shop.run("swap", "adapters", "stock", "new", "--note", "leaks")

    explained = shop.run("explain", "adapter", "stock", "--json").json
    listed = shop.run("list", "--domain", "adapter", "--json").json["keys"]
    assert (explained["winner"], explained["because"]) == ("new", "selected by a pin (ann: leaks)")
    facts = {"provider": "new", "actor": "ann", "until": None, "note": "leaks", "processes": {}}
    assert {name: explained["pin"][name] for name in facts} == facts
    assert {each["key"]: each["pinned"] for each in listed if each["key"] in ("stock", "lager")} == {
        "stock": "new",
        "lager": None,
    }
    second = shop.run("explain", "adapter", "stock").out.splitlines()[1]
    assert re.fullmatch(
        r"pinned to new by ann since \d\d:\d\d:\d\dZ: leaks; "
        "no process of this application runs: it counts from the next start",
        second,
    )


def test_a_pin_that_has_ended_counts_no_more(shop):
    """Neither for explain nor for list."""

    async def over(store):
        await Desired(store).pin(STOCK, "new", until=time.time() - 1)

    in_store(shop, over)
    assert shop.run("explain", "adapter", "stock", "--json").json["winner"] == "old"


def test_looking_makes_no_state(shop):
    """``list`` and ``explain`` leave no file behind, nor a folder; neither does what only looks at activity."""
    for words in (("list",), ("explain", "adapter", "stock"), ("activity",), ("history",), ("plan",)):
        assert shop.run(*words).code == 0
    assert not (shop.path / "state").exists()


def test_a_damaged_store_is_a_warning_where_one_only_looks(shop):
    """The answer is given all the same."""
    shop.write("state/state.db", "this is not a database, whatever its name says" * 100)

    ended = shop.run("list", "--domain", "adapter")
    assert (ended.code, "what operators have pinned is not known" in ended.err) == (0, True)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("swap adapter stock nwe", 3, "did you mean 'new'?"),
        ("swap adapter stok new", 3, "did you mean adapter:stock?"),
        ("swap adaptr stock new", 3, "did you mean adapter?"),
        ("swap adapter", 2, "say KEY"),
        ("swap adapter:stock new more", 2, "say the key once"),
        ("swap adapter stock --until 5m", 2, "name one"),
        ("pin adapter stock nwe", 3, "did you mean 'new'?"),
        ("unpin adapter stok", 3, "did you mean adapter:stock?"),
        ("rollback adapter stock", 3, "nobody knows what was before"),
        ("pause adaptr", 3, "did you mean adapter?"),
        ("hold adapter stok", 3, "did you mean adapter:stock?"),
        ("hold adapter stock --until 2020-01-01T00:00:00Z", 2, "is over already"),
        ("hold adapter stock --until 2130-01-01T00:00:00", 2, "does not say its offset"),
        ("hold adapter stock --until soon", 2, "expected a duration"),
        ("hold adapter stock --until 0s", 2, "is over already"),
        ("hold adapter stock --until 999999999d", 2, "more than ten years"),
        ("note adapter stock", 2, "say KEY and TEXT"),
        ("activity --domain adaptr", 3, "did you mean adapter?"),
        ("history --key adaptr:stock", 3, "did you mean adapter?"),
        ("secrets rotate kye", 3, "did you mean key?"),
    ],
)
def test_a_slip_is_said_and_nothing_is_written(shop, words, code, said):
    """What is near, or how it is meant; no state is made for it."""
    ended = shop.run(*words.split())

    assert (ended.code, ended.out, said in ended.err) == (code, "", True), ended.err
    assert len(ended.err.splitlines()) <= 3
    assert not (shop.path / "state" / "state.db").exists()


def test_a_store_that_nobody_shares_reaches_nobody(shop):
    """It would be said to nobody, and that is an error, not a success."""
    shop.write("oneiric.toml", TOML + '\n[state]\nurl = "memory:"\n')

    ended = shop.run("pause", "adapter")
    assert (ended.code, "nobody would hear it" in ended.err) == (6, True)


# --- choosing ----------------------------------------------------------------------------------------------------------


def test_a_swap_waits_until_it_serves(shop, fake):
    """And says what it did, how long it took, and how to undo it."""
    with fake():
        ended = shop.run("swap", "adapter", "stock", "new", "--note", "try it")

    said = "stock: old -> new in 12 ms\nundo with: oneiric rollback adapter stock\n"
    assert (ended.code, ended.out, ended.err) == (0, said, "")
    assert pin_of(shop) == ("new", "ann")
    assert events(shop, "kind", "key", "actor", "outcome", "new", "reason") == [
        ("pin", "adapter:stock", "ann", "done", "new", "try it")
    ]


def test_a_swap_waits_for_what_takes_its_time(shop):
    """That the process has heard of it is not enough."""

    class Slow(Fake):
        async def act(self, key, pin, revision):
            await self.beat(revision)
            await asyncio.sleep(0.3)
            await super().act(key, pin, revision)

    with Slow(shop.path / "state" / "state.db"):
        ended = shop.run("swap", "adapter", "stock", "new")

    assert (ended.code, ended.out.splitlines()[0]) == (0, "stock: old -> new in 12 ms")


def test_whose_choice_took_the_place_of_this_one(shop):
    """What a process has done for somebody else is not taken for this one's."""

    class Slow(Fake):
        async def act(self, key, pin, revision):
            if pin.provider == "new":
                await self.desired.pin(key, "other", actor="bob")
            else:
                await super().act(key, pin, revision)

    with Slow(shop.path / "state" / "state.db"):
        ended = shop.run("swap", "adapter", "stock", "new")

    assert (ended.code, pin_of(shop)) == (4, ("other", "bob"))
    assert ended.err.startswith("error: somebody else has chosen meanwhile")


def test_a_swap_as_json(shop, fake):
    """Each process, what it had, what it has, and what is pinned."""
    with fake(), fake("two", {STOCK: "new"}):
        got = shop.run("swap", "adapter", "stock", "new", "--json").json

    assert (got["schema"], got["outcome"], got["pin"]["provider"], got["before"]) == (
        "oneiric/swap/1",
        "done",
        "new",
        None,
    )
    rest = {"serving": "new", "told": "", "exit": 0}
    assert got["nodes"] == [
        {"node": "one", "before": "old", "outcome": "swapped", "ms": 12.0} | rest,
        {"node": "two", "before": "new", "outcome": "unchanged", "ms": None} | rest,
    ]


def test_what_fails_is_taken_back(shop, fake):
    """The pin is as it was, it is said who serves, and the history has both."""
    with fake():
        ended = shop.run("swap", "adapter", "stock", "ill")

    assert (ended.code, ended.out, ended.err.splitlines()) == (
        4,
        "",
        [
            "error: adapter:stock: ill was rolled back: it says so",
            "  old serves still, and nothing is pinned, as before",
            "  see: oneiric explain adapter stock",
        ],
    )
    assert pin_of(shop) is None
    assert events(shop, "kind", "outcome", "old", "new") == [
        ("pin", "done", None, "ill"),
        ("unpin", "taken_back", "ill", None),
    ]


def test_what_was_pinned_before_is_pinned_again(shop, fake):
    """By whom it was; not by who tried another one."""
    with fake():
        shop.run("swap", "adapter", "stock", "new", "--actor", "bob")
        ended = shop.run("swap", "adapter", "stock", "ill")

    assert (ended.code, ended.err.splitlines()[1]) == (
        4,
        "  new serves still, and it is pinned to new by bob, as before",
    )
    assert pin_of(shop) == ("new", "bob")


def test_what_was_pinned_before_may_not_come_up_either(shop, fake):
    """It is as it was all the same, and that is said."""

    async def found(store):
        await Desired(store).pin(STOCK, "ill", actor="bob")

    in_store(shop, found)
    with fake(holds=("new",)):
        ended = shop.run("swap", "adapter", "stock", "new")

    assert (ended.code, ended.err.splitlines()[1], pin_of(shop)) == (
        4,
        "  old serves still, and it is pinned to ill by bob, as before, which does not come about either",
        ("ill", "bob"),
    )


def test_nothing_is_half_done_in_several(shop, fake):
    """Where one cannot, the others go back."""

    class Picky(Fake):
        async def act(self, key, pin, revision):
            if pin is not None and pin.provider == "new":
                pin = attrs.evolve(pin, provider="ill")
            await super().act(key, pin, revision)

    with fake() as first, Picky(shop.path / "state" / "state.db", "two") as second:
        ended = shop.run("swap", "adapter", "stock", "new")
        parts = first.parts, second.parts

    assert (ended.code, parts, pin_of(shop)) == (4, ({STOCK: "old"}, {STOCK: "old"}), None)
    assert ended.out.splitlines() == [
        "one: stock: old -> new in 12 ms",
        "two: stock: adapter:stock: ill was rolled back: it says so",
    ]
    assert ended.err.splitlines()[:2] == [
        "error: adapter:stock: ill was rolled back: it says so (in two)",
        "  old serves still, and nothing is pinned, as before",
    ]


def test_whose_choice_came_meanwhile_is_left_alone(shop, fake):
    """What failed is not taken back over somebody else's head."""

    class Slow(Fake):
        async def act(self, key, pin, revision):
            if pin is not None and pin.provider == "ill":
                await self.desired.pin(key, "other", actor="bob")
            if pin is None or pin.provider != "other":
                await super().act(key, pin, revision)

    with Slow(shop.path / "state" / "state.db"):
        ended = shop.run("swap", "adapter", "stock", "ill")

    assert (ended.code, pin_of(shop)) == (4, ("other", "bob"))
    assert "somebody else has chosen meanwhile, and that is left as it is" in ended.err
    assert "adapter:stock is pinned to other by bob" in ended.err


def test_whose_choice_came_while_this_one_was_written_is_put_back(shop, fake, monkeypatch):
    """What was pinned before is what this one took the place of, and not what was there a moment earlier."""
    real, others = Desired.pinned_at, []

    async def pinned_at(self, key):
        found = await real(self, key)
        if not others:
            others.append(await Desired(self._store).pin(key, "other", actor="bob"))
        return found

    monkeypatch.setattr(Desired, "pinned_at", pinned_at)
    with fake():
        ended = shop.run("swap", "adapter", "stock", "ill")

    assert (ended.code, pin_of(shop)) == (4, ("other", "bob"))


def test_who_does_not_answer_in_time(shop, fake):
    """The choice stays, since it will be so, and how to take it back is said."""
    with fake():
        ended = shop.run("swap", "adapter", "stock", "mute", "--timeout", "0.2")

    assert (ended.code, pin_of(shop)) == (8, ("mute", "ann"))
    assert ended.err.splitlines() == [
        "error: no answer in time from one; adapter:stock stays pinned to mute, and is so as soon as it can be",
        "  see: oneiric status --key adapter:stock; to take it back: oneiric unpin adapter stock",
    ]


def test_who_ends_meanwhile_is_not_waited_for(shop, fake):
    """It is said that it ended."""

    class Ends(Fake):
        async def act(self, key, pin, revision):
            self.over.set()

    with fake(), Ends(shop.path / "state" / "state.db", "two"):
        ended = shop.run("swap", "adapter", "stock", "new")

    assert (ended.code, "two: ended meanwhile" in ended.out) == (0, True)


def test_what_is_held_is_passed_by_override(shop, fake):
    """Without it the swap is refused, and nothing is left behind."""
    with fake(holds=("new",)):
        refused = shop.run("swap", "adapter", "stock", "new")
        before = pin_of(shop)
        passed = shop.run("swap", "adapter", "stock", "new", "--override")

    assert (refused.code, before, passed.code, pin_of(shop)) == (4, None, 0, ("new", "ann"))
    assert refused.err.splitlines()[2] == "  to pass it: oneiric swap adapter stock new --override"


def test_swap_without_provider_drops_the_pin(shop, fake):
    """Whoever wins takes its place; ``unpin`` is the same."""
    with fake() as node:
        shop.run("swap", "adapter", "stock", "new")
        ended = shop.run("swap", "adapter", "stock")
        shop.run("swap", "adapter", "stock", "other")
        again = shop.run("unpin", "adapter", "stock")
        nothing = shop.run("unpin", "adapter", "stock")

    assert node.parts == {STOCK: "old"}
    assert (ended.code, ended.out) == (
        0,
        "stock: new -> old in 12 ms\nundo with: oneiric swap adapter stock new\n",
    )
    assert (again.code, again.out.splitlines()[0]) == (0, "stock: other -> old in 12 ms")
    assert (nothing.code, nothing.out) == (0, "nothing is pinned to adapter:stock\n")


def test_swap_where_nothing_is_pinned_asks_for_the_winner(shop, fake):
    """Without building anything anew that wins already; with ``--reload`` it does."""
    with fake():
        plain = shop.run("swap", "adapter", "stock")
        anew = shop.run("swap", "adapter", "stock", "--reload")

    assert plain.out == "nothing is pinned to adapter:stock\nstock: old, as before\n"
    assert (anew.code, anew.out) == (0, "stock: old built anew in 3 ms\n")
    assert in_store(shop, lambda store: store.scan("requests/")) == []


def test_reload_of_what_is_chosen_already(shop, fake):
    """It is pinned, and built anew."""
    with fake():
        shop.run("swap", "adapter", "stock", "new")
        ended = shop.run("swap", "adapter", "stock", "new", "--reload")

    assert (ended.code, ended.out) == (0, "stock: new, as before\nstock: new built anew in 3 ms\n")


def test_a_dry_run_touches_nothing(shop, fake):
    """10 where something would change, 0 where not; neither pins nor history are written."""
    with fake():
        would = shop.run("swap", "adapter", "stock", "new", "--dry-run")
        nothing = events(shop, "kind"), pin_of(shop)
        shop.run("swap", "adapter", "stock", "new")
        same = shop.run("swap", "adapter", "stock", "new", "--dry-run")
        back = shop.run("swap", "adapter", "stock", "--dry-run", "--json")

    assert (would.code, would.out) == (
        10,
        "one: would swap adapter:stock: old -> new\nwould pin adapter:stock to new\n",
    )
    assert nothing == ([], None)
    assert (same.code, same.out) == (0, "adapter:stock would stay as it is\n")
    assert (back.code, back.json["schema"], back.json["then"]) == (10, "oneiric/swap-plan/1", "old")


def test_rollback_goes_to_the_one_before(shop, fake):
    """In all processes, and there and back again."""
    with fake() as node, fake("two", {LAGER: "new"}):
        shop.run("swap", "adapter", "stock", "new")
        ended = shop.run("rollback", "adapter:stock")
        after = node.parts[STOCK]
        again = shop.run("rollback", "adapter", "stock")

    assert (ended.code, ended.out.splitlines()[0], after) == (0, "one: stock: new -> old in 12 ms", "old")
    assert (again.code, node.parts[STOCK], pin_of(shop)) == (0, "new", ("new", "ann"))


def test_rollback_where_they_disagree(shop, fake):
    """Each is named, and nothing is changed."""
    with fake(previous="new"), fake("two", previous="other"), fake("three"):
        ended = shop.run("rollback", "adapter", "stock")

    assert (ended.code, ended.err.splitlines()) == (
        4,
        [
            "error: there is no one before at adapter:stock: new in one, other in two",
            "  name the one you mean: oneiric swap adapter stock PROVIDER",
        ],
    )
    assert pin_of(shop) is None


def test_pin_keeps_what_serves(shop, fake):
    """Without a provider, what is bound, although another one would win; with another one, it is a swap."""
    with fake(parts={STOCK: "other"}) as node:
        kept = shop.run("pin", "adapter", "stock", "--until", "1h")
        pinned = pin_of(shop)
        moved = shop.run("pin", "adapter", "stock", "new")

    assert (kept.code, kept.out, pinned) == (0, "stock: other, as before\n", ("other", "ann"))
    assert (moved.code, node.parts[STOCK]) == (0, "new")


def test_parts_of_the_application_alone_are_known(shop, fake):
    """What a process has registered in its own code is no slip."""
    own = Key.of("adapter", "inhouse")
    with fake(parts={own: "other"}, previous="ours") as node:
        ended = shop.run("swap", "adapter", "inhouse", "ours")
        wrong = shop.run("swap", "adapter", "inhouse", "outs")

    assert (ended.code, node.parts[own], wrong.code) == (0, "ours", 3)
    assert "did you mean ours?" in wrong.err


def test_who_types(shop, monkeypatch):
    """The option, then the variable, then user and machine."""
    shop.run("hold", "adapter", "--actor", "bob")
    shop.run("pause", "adapter")
    monkeypatch.delenv("ONEIRIC_ACTOR")
    shop.run("drain", "adapter")

    by = [actor for (actor,) in events(shop, "actor")]
    assert (by[:2], "@" in by[2]) == (["bob", "ann"], True)


def test_explain_says_where_it_is_in_force(shop, fake):
    """Of the processes that live, how many have it."""
    with fake(), fake("two", {LAGER: "old"}):
        shop.run("swap", "adapter", "lager", "new")
        said = shop.run("explain", "adapter", "lager").out.splitlines()[1]

    assert said.endswith("; it serves in 2 of 2 processes")


def test_plan_without_a_file_compares_what_runs(shop, fake):
    """What processes have bound that is not what wins; 10 where there is any."""
    nobody = shop.run("plan")
    with fake(parts={STOCK: "other", LAGER: "old"}):
        differs = shop.run("plan")
        shop.run("pin", "adapter", "stock")
        same = shop.run("plan")

    assert (nobody.code, "no process of this application runs" in nobody.out) == (0, True)
    assert (differs.code, differs.out.splitlines()[1].split()[:5]) == (
        10,
        ["one", "adapter", "stock", "other", "old"],
    )
    assert (same.code, same.out) == (0, "1 process has what would win everywhere\n")


# --- imposing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("word", "state"), [("hold", "held"), ("pause", "paused"), ("drain", "drained")])
def test_what_is_imposed_is_in_force_when_the_word_returns(shop, fake, word, state):
    """For a part and for a domain, and ``activity`` says by whom and why."""
    with fake():
        ended = shop.run(word, "adapters", "stock", "--note", "moving", "--until", "1h")
        got = shop.run("activity", "--json").json
        back = shop.run("resume", "adapter", "stock")
        after = shop.run("activity")

    assert (ended.code, ended.out) == (0, f"adapter:stock is {state} in 1 process\n")
    (row,) = got["parts"]
    facts = {"domain": "adapter", "key": "stock", "state": state, "actor": "ann", "reason": "moving"}
    assert {name: row[name] for name in facts} == facts
    assert (got["total"][state], got["domains"]["adapter"][state]) == (1, 1)
    assert (back.code, back.out) == (0, "adapter:stock is resumed in 1 process\n")
    assert after.out == "nothing is held, paused or drained, and nothing has a note\n"


def test_what_is_imposed_beside_nobody(shop):
    """It counts from the next start; as JSON, too."""
    ended = shop.run("pause", "adapter", "--json").json

    assert {name: ended[name] for name in ("schema", "domain", "key", "nodes")} == {
        "schema": "oneiric/pause/1",
        "domain": "adapter",
        "key": None,
        "nodes": [],
    }
    assert shop.run("hold", "adapter", "stock").out == (
        "adapter:stock is held; no process of this application runs: it counts from the next start\n"
    )


def test_who_does_not_hear_is_named(shop, fake):
    """Exit 8, and it stays; with ``--no-wait`` nobody is waited for."""
    with fake(deaf=True):
        late = shop.run("pause", "adapter", "--timeout", "0.1")
        asked = shop.run("hold", "adapter", "--no-wait")

    assert (late.code, late.err.splitlines()) == (
        8,
        [
            "error: no answer in time from one; domain adapter is paused as soon as they hear of it",
            "  to take it back: oneiric resume adapter",
        ],
    )
    assert (asked.code, asked.out) == (0, "domain adapter is held; 1 process will hear of it\n")


def test_a_drain_that_does_not_end(shop, fake):
    """Who still has users is named, and it goes on."""

    class Busy(Fake):
        async def take(self, wanted):
            await self.observed.put(STOCK, Seen("ready", "old", mode="drain", pending="2 users left"))

    with Busy(shop.path / "state" / "state.db"):
        ended = shop.run("drain", "adapter", "stock", "--timeout", "0.1")
        state = shop.run("activity", "--json").json["parts"][0]["state"]

    assert (ended.code, state) == (8, "draining")
    assert ended.err.splitlines()[0] == ("error: no answer in time from one; adapter:stock is draining still")


def test_what_stays_imposed_is_said(shop):
    """Resuming a domain leaves its parts, and the other way round."""
    shop.run("pause", "adapter", "stock", "--actor", "bob")
    shop.run("hold", "adapter")
    domain = shop.run("resume", "adapter")
    shop.run("hold", "adapter")
    part = shop.run("resume", "adapter", "stock")

    assert domain.out.splitlines()[1] == (
        "adapter:stock is paused by bob all the same: oneiric resume adapter stock"
    )
    assert part.out.splitlines()[1] == "adapter is held by ann all the same: oneiric resume adapter"


def test_activity_counts(shop):
    """A line for each, with notes; counted for each domain, and in all."""
    shop.run("pause", "adapter", "stock", "--note", "moving")
    shop.run("hold", "service")
    shop.run("note", "adapter:lager", "ask bob first")
    ended = shop.run("activity")
    only = shop.run("activity", "--domain", "services", "--json").json

    lines = [re.sub(r"\d\d:\d\d:\d\dZ", "NOW", line) for line in ended.out.splitlines()]
    assert lines == [
        "DOMAIN   KEY    STATE   BY   SINCE      WHY",
        "adapter  lager  noted   ann  NOW  ask bob first",
        "adapter  stock  paused  ann  NOW  moving",
        "service  (all)  held    ann  NOW",
        "",
        "adapter: 1 paused, 1 noted",
        "service: 1 held",
        "in all: 1 paused, 1 held, 1 noted",
    ]
    assert [each["domain"] for each in only["parts"]] == ["service"]
    shop.run("note", "adapter", "lager", "")
    assert shop.run("activity", "--json").json["total"]["noted"] == 0


# --- history -----------------------------------------------------------------------------------------------------------


def filled(shop, count=1):
    async def fill(store):
        history = History(store)
        for _ in range(count):
            await history.append(Event("start", outcome="done", cause="node"))
        await history.append(
            Event("swap", "adapter:stock", "ann", "operator", "swapped", "old", "new", ms=31.4)
        )
        await history.append(
            Event(
                "rollback",
                "adapter:stock",
                "deploy@ci",
                "operator",
                "rolled_back",
                "ill",
                "new",
                "it says so",
            )
        )
        await history.append(Event("pause", "adapter", "bob", "operator", "done", reason="moving"))

    in_store(shop, fill)


def test_history_is_a_line_an_event(shop):
    """The latest first: when, what, where, what came of it, why, and by whom."""
    filled(shop)
    lines = [re.sub(r"\d\d:\d\d:\d\dZ", "NOW", line) for line in shop.run("history").out.splitlines()]

    assert lines == [
        "#4  NOW  pause     adapter                    done         moving  by bob",
        "#3  NOW  rollback  adapter stock  ill -> new  rolled back  it says so  by deploy@ci",
        "#2  NOW  swap      adapter stock  old -> new  swapped      31.4 ms  by ann",
        "#1  NOW  start                                done         (node)",
    ]


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (["-n", "2"], [7, 6]),
        (["--key", "adapters:stock"], [6, 5]),
        (["--key", "adapter"], [7, 6, 5]),
        (["--key", "adapter:stock", "-n", "1"], [6]),
        (["--since", "1h"], [7, 6, 5, 4, 3, 2, 1]),
        (["--since", "1h", "-n", "1"], [7]),
        (["--since", "2129-01-01T00:00:00Z"], []),
    ],
)
def test_history_of_some(shop, words, numbers):
    """So many, of one part or domain, since some time."""
    filled(shop, 4)

    got = shop.run("history", *words, "--json").json
    assert (got["schema"], [each["number"] for each in got["events"]]) == ("oneiric/history/1", numbers)


def test_history_of_a_part_looks_far_enough_back(shop):
    """What is asked for may lie behind much that is not."""

    async def fill(store):
        await History(store).append(Event("pin", "adapter:stock"))
        for _ in range(60):
            await History(store).append(Event("start"))

    in_store(shop, fill)
    got = shop.run("history", "--key", "adapter:stock", "-n", "3", "--json").json["events"]
    assert [each["number"] for each in got] == [1]


def test_what_is_too_long_goes_on_below(shop):
    """At the width of the terminal; nothing is cut."""

    async def fill(store):
        await History(store).append(
            Event("fail", "adapter:stock", "ann", outcome="failed", reason="so " * 60)
        )

    in_store(shop, fill)
    out = shop.run("history", COLUMNS="80").out
    assert max(map(len, out.splitlines())) <= 80
    assert out.split().count("so") == 60


# --- asking ------------------------------------------------------------------------------------------------------------


def test_secrets_are_rotated_where_something_runs(shop, fake):
    """What each process has built anew; beside nobody that is said."""
    nobody = shop.run("secrets", "rotate")
    with fake():
        ended = shop.run("secrets", "rotate", "key")

    assert (nobody.code, nobody.out) == (
        0,
        "no process of this application runs: secrets are fetched when it starts\n",
    )
    assert [line.split() for line in ended.out.splitlines()] == [
        ["PROCESS", "OUTCOME", "BUILT", "ANEW"],
        ["one", "done", "adapter:stock"],
    ]
    assert events(shop, "kind", "actor", "outcome", "reason") == [("rotate", "ann", "done", "key")]


def test_who_is_asked_and_does_not_answer(shop, fake):
    """8, whoever else has answered; the request is taken back, so that nobody does it when nobody waits."""
    with fake(), fake("two", deaf=True):
        ended = shop.run("swap", "adapter", "stock", "--reload", "--timeout", "0.3")

    assert ended.code == 8
    assert ended.out.splitlines() == ["one: stock: old built anew in 3 ms", "no answer in time from two"]
    assert in_store(shop, lambda store: store.scan("requests/")) == []


def test_streams_are_synced_where_something_runs(shop, fake):
    """The worst of what they answer is the exit code."""
    with fake(), fake("two"):
        ended = shop.run("remote-sync")

    assert (ended.code, ended.out.splitlines()) == (
        7,
        ["one: the stream is not signed", "two: the stream is not signed"],
    )


# --- processes of their own --------------------------------------------------------------------------------------------


def waits_for(look, what):
    """Until *look()* gives something."""
    for _ in range(3000):
        if found := look():
            return found
        signal.sigtimedwait([], 0.01)
    raise AssertionError(f"{what} does not come")


@pytest.mark.once
def test_who_interrupts_hears_what_stands(shop, fake):
    """And how to take it back; 130."""
    with fake():
        command = shop.start("swap", "adapter", "stock", "mute")
        waits_for(lambda: (shop.path / "state" / "state.db").exists() and pin_of(shop), "the pin")
        signal.sigtimedwait([], 0.2)
        command.send_signal(signal.SIGINT)
        out, err = command.communicate(timeout=30)

    assert (command.returncode, out, err.splitlines()) == (
        130,
        "",
        [
            "error: interrupted; adapter:stock is pinned to mute, and that stands",
            "  to take it back: oneiric unpin adapter stock",
        ],
    )


@pytest.mark.once
def test_progress_is_shown_on_a_terminal(shop, fake):
    """What each process does, after a second; the line is gone in the end, and there is none elsewhere."""
    import pty

    words = ("swap", "adapter", "stock", "mute", "--timeout", "1.5")
    with fake():
        ours, theirs = pty.openpty()
        subprocess.run(
            shop.command(*words),
            cwd=shop.path,
            env=shop.environment | {"TERM": "xterm", "COLUMNS": "80"},
            stderr=theirs,
            stdout=subprocess.DEVNULL,
            check=False,
        )
        os.close(theirs)
        said = os.read(ours, 65536).decode()
        os.close(ours)
        elsewhere = shop.spawn(*words)

    assert "\r\x1b[Kwaiting for one (ready), " in said
    assert re.search(r" s\r\x1b\[K(\x1b\[\d+m)*error", said)
    assert "waiting" not in elsewhere.err


@pytest.mark.once
@pytest.mark.parametrize("words", [("history", "--follow"), ("activity", "--watch")])
def test_what_goes_on_is_followed(shop, words):
    """A JSON object a line, until it is interrupted."""
    shop.run("pause", "adapter")
    command = shop.start(*words, "--json")
    first = command.stdout.readline()
    shop.run("hold", "service")
    second = command.stdout.readline()
    command.send_signal(signal.SIGINT)
    _, err = command.communicate(timeout=30)

    assert command.returncode == 130, err
    assert ("adapter" in first, "service" in first, "service" in second) == (True, False, True)
    assert first.startswith('{"schema": "oneiric/')


# --- beside ``oneiric orchestrate`` -----------------------------------------------------------------------------------


class Running:
    """``oneiric orchestrate`` in a folder, whose plugin uses a part again and again."""

    def __init__(self, folder, name="real"):
        self.folder = folder
        self.process = folder.start("orchestrate", "--node", name)
        self.said = self.process.stderr.readline()
        assert self.said.startswith("running: "), self.said + self.process.stderr.read()
        # Nobody else reads it, and it is not to wait for anybody.
        self.reader = threading.Thread(target=self.process.stderr.read, daemon=True)
        self.reader.start()

    def work(self):
        path = self.folder.path / "work"
        return path.exists() and path.read_text()

    def works(self, what, within=20.0):
        """Wait until a use that begins from now on gets *what*; how long that takes."""
        began, first = time.monotonic(), None
        while time.monotonic() - began < within:
            number, got = waits_for(self.work, "work").split()
            first = int(number) if first is None else first
            # That of now may have begun before.
            if int(number) > first + 1 and got == what:
                return time.monotonic() - began
            signal.sigtimedwait([], 0.005)
        raise AssertionError(f"it gets {got}")

    def end(self):
        self.process.terminate()
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()
            self.process.stdout.close()
            self.reader.join(20)
            self.process.stderr.close()


@pytest.fixture(scope="module")
def running(new_folder):
    """One process for the tests that follow; each leaves it as it was."""
    folder = new_folder("running")
    folder.write("shop.py", PLUGIN)
    folder.write("oneiric.toml", TOML)
    folder.environment |= {"ONEIRIC_ACTOR": "ann", "SHOP_KEY": "abc"}
    folder.environment["PYTHONPATH"] += os.pathsep + str(folder.path)
    process = Running(folder)
    yield process
    assert process.end() == 0


@pytest.mark.once
def test_a_running_process_is_swapped(running):
    """When the command returns, users of the other process get the new one; and then the old one again."""
    running.works("old")
    ended = running.folder.spawn("swap", "adapter", "stock", "new")
    took = running.works("new")
    back = running.folder.spawn("rollback", "adapter", "stock")
    running.works("old")
    running.folder.spawn("unpin", "adapter", "stock")

    assert (ended.code, ended.err) == (0, "")
    assert re.fullmatch(
        r"stock: old -> new in [\d.]+ ms\nundo with: oneiric rollback adapter stock\n", ended.out
    )
    assert took < 1.0
    assert (back.code, back.out.splitlines()[0].startswith("stock: new -> old in ")) == (0, True)


@pytest.mark.once
def test_a_running_process_keeps_what_it_has(running):
    """A bad provider exits with 4; the old one serves, and the pin is taken back."""
    ended = running.folder.spawn("swap", "adapter", "stock", "ill")
    running.works("old")

    assert (ended.code, ended.out, ended.err.splitlines()[1:]) == (
        4,
        "",
        ["  old serves still, and nothing is pinned, as before", "  see: oneiric explain adapter stock"],
    )
    assert ended.err.startswith("error: adapter:stock: ill did not come up at step warm: ")
    assert pin_of(running.folder) is None


@pytest.mark.once
@pytest.mark.parametrize(("word", "error"), [("pause", "Paused"), ("drain", "Draining")])
@pytest.mark.parametrize("target", [["adapter", "stock"], ["adapters"]], ids=["part", "domain"])
def test_a_running_process_refuses_new_work(running, word, error, target):
    """Within a second of the command's return, until it is resumed."""
    ended = running.folder.spawn(word, *target, "--note", "moving")
    refused = running.works(error)
    resumed = running.folder.spawn("resume", *target)
    again = running.works("old")

    assert (ended.code, ended.err, resumed.code, resumed.err) == (0, "", 0, "")
    assert max(refused, again) < 1.0


@pytest.mark.once
def test_what_is_held_is_not_swapped(running):
    """An operator's swap needs --override; the hold stays.  That it was refused is told for as long as it is held."""
    running.folder.spawn("hold", "adapter", "stock", "--actor", "bob")
    refused = running.folder.spawn("swap", "adapter", "stock", "new")
    held = running.folder.spawn("status", "--key", "stock").out
    running.folder.spawn("resume", "adapter", "stock")
    resumed = running.folder.spawn("status", "--key", "stock").out
    running.folder.spawn("hold", "adapter", "stock", "--actor", "bob")
    passed = running.folder.spawn("swap", "adapter", "stock", "new", "--override")
    running.works("new")
    activity = running.folder.spawn("activity", "--json").json
    running.folder.spawn("resume", "adapter", "stock")
    running.folder.spawn("unpin", "adapter", "stock")
    running.works("old")

    assert (refused.code, passed.code) == (4, 0), (refused, passed)
    assert refused.err.splitlines()[0] == "error: adapter:stock is held by bob"
    assert (held.count("adapter:stock is held by bob"), held.count("adapter:stock")) == (1, 1), held
    assert "is held" not in resumed
    assert [(each["key"], each["state"], each["actor"]) for each in activity["parts"]] == [
        ("stock", "held", "bob")
    ]


@pytest.mark.once
def test_a_running_process_builds_anew(running):
    """What it is asked to, and what was built from a secret that is rotated."""
    anew = running.folder.spawn("swap", "adapter", "stock", "--reload")
    plain = running.folder.spawn("swap", "adapter", "stock")
    rotated = running.folder.spawn("secrets", "rotate", "--json").json

    assert (anew.code, re.sub(r"[\d.]+ ms", "N ms", anew.out)) == (0, "stock: old built anew in N ms\n")
    assert plain.out.splitlines()[-1] == "stock: old, as before"
    (node,) = rotated["nodes"]
    assert (node["node"], node["outcome"], node["exit"]) == ("real", "done", 0)
    assert [each["key"] for each in node["result"]["rebuilt"]] == ["adapter:secretive"]


@pytest.mark.once
def test_history_has_what_was_said_and_what_was_done(running):
    """By whom and why: what the command said, and what the process did for it."""
    running.folder.spawn("swap", "adapter", "lager", "new", "--actor", "cat")
    got = running.folder.spawn("history", "--key", "adapter:lager", "-n", "2", "--json").json["events"]
    running.folder.spawn("unpin", "adapter", "lager")

    facts = ("kind", "actor", "cause", "outcome", "old", "new", "node")
    assert sorted(tuple(each[name] for name in facts) for each in got) == [
        ("pin", "cat", "operator", "done", None, "new", ""),
        ("swap", "cat", "operator", "swapped", "old", "new", "real"),
    ]


CLIENT = """
import contextlib, io, json, random, sys, time
from oneiric.cli import main
number, seconds = int(sys.argv[1]), float(sys.argv[2])
draw, mine, actor = random.Random(number), f"n{number}", f"client{number}"
until, did, codes, last = time.monotonic() + seconds, [], {}, {}
# Each process has one mode of its own on the part that all share, so what it said last is to be there in the end.
mode = ["hold", "pause", "drain", "note"][number]
while time.monotonic() < until:
    words = draw.choice([
        [mode, "adapter", "stock", *(["text %d" % len(did)] if mode == "note" else [])],
        ["swap", "adapter", "lager", draw.choice(["old", "new", "other", "ill"])],
        ["swap", "adapter", "lager"],
        ["pin", "adapter", "lager", draw.choice(["old", "new"])],
        ["unpin", "adapter", "lager"],
        [draw.choice(["hold", "pause", "drain"]), ["service", "task", "event", "workflow"][number]],
        ["resume", ["service", "task", "event", "workflow"][number]],
    ])
    if words[0] in ("hold", "pause", "drain", "resume", "note") and words[0] != "note":
        words += ["--no-wait"] if draw.random() < 0.5 else ["--timeout", "20"]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*words, "--actor", actor, "--json"], standalone_mode=False)
    did.append([words, code, json.loads(out.getvalue())["outcome"] if words[0] in ("swap", "pin", "unpin") and out.getvalue() else "", err.getvalue()])
print(json.dumps(did))
"""


@pytest.mark.once
@pytest.mark.parametrize("kind", ["fake", "real"])
def test_many_operators_at_once(shop, fake, kind):
    """No update is lost, nobody meets a lock, and all of it is in the history.  ONEIRIC_OPERATORS: for how many seconds."""
    import json

    seconds = SECONDS
    shop.write("client.py", CLIENT)
    shop.write("oneiric.toml", TOML + "\n[state]\nhistory_records = 100000\n")
    shop.environment["SHOP_KEY"] = "abc"
    with contextlib.ExitStack() as stack:
        if kind == "fake":
            stack.enter_context(fake(parts={LAGER: "old"}))
        else:
            stack.callback(Running(shop).end)
        clients = [
            subprocess.Popen(
                [sys.executable, "-W", "error", "client.py", str(number), str(seconds)],
                cwd=shop.path,
                env=shop.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(4)
        ]
        told = [client.communicate(timeout=seconds + 120) for client in clients]
        served = shop.run("plan", "--json").json
    assert [client.returncode for client in clients] == [0] * 4, told
    did = [json.loads(out) for out, _ in told]
    codes = {(words[0], code) for each in did for words, code, *_ in each}
    assert {code for _, code in codes} <= {0, 4}, [
        one for each in did for one in each if one[1] not in (0, 4)
    ]

    # What each has written is there, in its own order, and nothing else.
    def wrote(words, code, outcome, err):
        if words[0] in ("swap", "pin", "unpin"):
            if outcome == "nothing":
                return []
            first = "pin" if len(words) > 3 else "unpin"
            return [first, "back"] if outcome == "taken_back" else [first]
        return [words[0]]

    expected = [[kind for one in each for kind in wrote(*one)] for each in did]
    there = events(shop, "actor", "kind", "outcome")
    there = [
        each
        for each in there
        if each[0].startswith("client")
        and each[1] in ("pin", "unpin", "hold", "pause", "drain", "resume", "note")
    ]
    found = [
        [
            "back" if outcome == "taken_back" else kind
            for actor, kind, outcome in there
            if actor == f"client{number}"
        ]
        for number in range(4)
    ]
    assert found == expected
    assert len(there) == sum(map(len, expected))

    # What everybody has said of the part that all share stands beside what the others have.
    wanted = in_store(shop, lambda store: Desired(store).wanted())
    admin = wanted.admins.get(str(STOCK))
    for number, mode in enumerate(("hold", "pause", "drain")):
        said = any(words[:3] == [mode, "adapter", "stock"] for words, *_ in did[number])
        mark = None if admin is None else getattr(admin, mode)
        assert (mark is not None and mark.actor == f"client{number}") is said
    texts = [words[3] for words, *_ in did[3] if words[0] == "note"]
    assert (admin.note.text if admin and admin.note else None) == (texts[-1] if texts else None)
    for number, domain in enumerate(("service", "task", "event", "workflow")):
        modes = set()
        for words, *_ in did[number]:
            if words[1] == domain:
                modes = set() if words[0] == "resume" else modes | {words[0]}
        mine = wanted.admins.get(domain)
        assert {mode for mode in ("hold", "pause", "drain") if mine and getattr(mine, mode)} == modes
    # Two who try what does not come up, one over the other, leave it as each of them has found it.
    assert [each for each in served["changes"] if each["after"] != "ill"] == []
    assert len(served["nodes"]) == 1
    print(
        {
            f"{word} {code}": sum(
                1 for each in did for words, one, *_ in each if (words[0], one) == (word, code)
            )
            for word, code in sorted(codes)
        }
    )
