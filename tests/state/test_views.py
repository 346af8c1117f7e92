"""What stands in a store: what operators want, what nodes do, what has happened."""

import asyncio

import pytest
from oneiric_hookspecs import Conflict, Corrupt, Key, PluginError, StateError

from oneiric.state import Admin, Desired, Event, History, Mark, Note, Observed, Pin, Seen
from oneiric.state.values import change

CACHE, QUEUE = Key.of("adapter", "cache"), Key.of("adapter", "queue")


@pytest.fixture
def viewed(opened):
    """``viewed(body)``: run ``body(store)`` on a store of either kind."""

    def viewed(body):
        async def main():
            async with opened() as store:
                return await body(store)

        return asyncio.run(main())

    return viewed


# --- desired -----------------------------------------------------------------------------------------------------------


def test_pins(viewed, times):
    """A pin says who, why and until when; it counts until then, and can be dropped before."""

    async def body(store):
        desired = Desired(store, now=lambda: 100.0)
        revision = await desired.pin(CACHE, "disk", actor="ann", note="memory leaks", until=200.0)
        await desired.pin(QUEUE, "fifo")
        wanted = await desired.wanted()
        await desired.unpin(QUEUE)
        await desired.unpin(QUEUE)
        found = await desired.pinned(CACHE), await desired.pinned(QUEUE)
        return revision, wanted, found

    revision, wanted, found = viewed(body)
    pin = Pin("disk", Mark("ann", 100.0, 200.0, "memory leaks"))
    assert found == (pin, None)
    assert (dict(wanted.pins), wanted.admins) == ({CACHE: pin, QUEUE: Pin("fifo", Mark("", 100.0))}, {})
    assert wanted.revision > revision
    assert [wanted.pin(CACHE, now) for now in (100.0, 199.9, 200.0)] == ["disk", "disk", None]
    assert [wanted.next_end(now) for now in (100.0, 200.0)] == [200.0, None]


def test_a_pin_is_changed_only_by_who_has_read_it(viewed):
    """Who expects another one than there is, or one where there is none, changes nothing."""

    async def body(store):
        desired = Desired(store, now=lambda: 100.0)
        first = await desired.pin(CACHE, "disk", actor="ann", expect=0)
        second = await desired.pin(CACHE, "memory", actor="bob", expect=first)
        with pytest.raises(Conflict):
            await desired.pin(CACHE, "disk", expect=0)
        for pin in (None, Pin("disk")):
            with pytest.raises(Conflict):
                await desired.put_back(CACHE, pin, expect=first)
        return await desired.pinned_at(CACHE), second

    (pin, revision), second = viewed(body)
    assert (pin.provider, pin.mark.actor, revision) == ("memory", "bob", second)


def test_what_has_ended_is_forgotten_with_the_next_word(viewed):
    """So that a clock that is set back does not bring back what nobody remembers."""

    async def body(store):
        await Desired(store, now=lambda: 100.0).impose(CACHE, "pause", until=150.0)
        await Desired(store, now=lambda: 200.0).impose(CACHE, "hold", actor="ann")
        return await Desired(store).admin(CACHE)

    assert viewed(body) == Admin(hold=Mark("ann", 200.0))


def test_modes(viewed):
    """Hold, pause and drain stand beside one another, and a domain's count for its keys: the strongest is in force."""

    async def body(store):
        desired = Desired(store, now=lambda: 100.0)
        await desired.impose("adapter", "hold", actor="ann", until=150.0)
        await desired.impose(CACHE, "pause", actor="bob", until=130.0)
        await desired.impose(CACHE, "drain", actor="cat", until=110.0, note="moving")
        await desired.note(CACHE, "ask cat first", actor="bob")
        first = await desired.wanted()
        await desired.resume(CACHE, "pause")
        second = await desired.wanted(), await desired.admin(CACHE)
        await desired.resume("adapter")
        await desired.resume(CACHE)
        await desired.note(CACHE, "")
        return first, second, await store.scan(""), await desired.admin(CACHE)

    first, (second, admin), left, nothing = viewed(body)
    modes = [[each.mode(CACHE, now) for now in (100, 110, 130, 150)] for each in (first, second)]
    assert modes == [["drain", "pause", "hold", None], ["drain", "hold", "hold", None]]
    assert [first.mode(QUEUE, now) for now in (100, 150)] == ["hold", None]
    assert admin == Admin(drain=Mark("cat", 100.0, 110.0, "moving"), note=Note("ask cat first", "bob", 100.0))
    assert [first.next_end(now) for now in (100, 110, 130, 150)] == [110.0, 130.0, 150.0, None]
    assert (left, nothing) == ([], Admin())


def test_edits_at_once_are_never_lost(opened):
    """Twenty who edit one part at the same time, through two stores: all of it is there."""

    async def main():
        async with opened() as one, opened() as other:
            views = [Desired(one), Desired(other)]
            edits = [
                views[n % 2].impose(CACHE, mode, actor=mode)
                for n, mode in enumerate(("hold", "pause", "drain"))
            ]
            edits += [views[n % 2].note(CACHE, f"note {n}") for n in range(20)]
            await asyncio.gather(*edits)
            return await views[0].admin(CACHE)

    admin = asyncio.run(main())
    assert [admin.hold.actor, admin.pause.actor, admin.drain.actor] == ["hold", "pause", "drain"]
    assert admin.note.text.startswith("note ")


def test_fields_of_later_versions_are_kept(viewed):
    """What this version does not know it leaves as it is, wherever it stands."""
    later = {
        "pause": {"actor": "ann", "at": 1, "colour": "red"},
        "freeze": {"actor": "bob", "at": 2},
        "note": {"text": "x", "lang": "en"},
    }

    async def body(store):
        await store.put("desired/admin/adapter:cache", later)
        await store.put("desired/thoughts/adapter:cache", ["of a later version"])
        desired = Desired(store, now=lambda: 5.0)
        read = await desired.admin(CACHE)
        await desired.impose(CACHE, "hold")
        await desired.resume(CACHE, "hold")
        return read, (await store.get("desired/admin/adapter:cache")).value, await desired.wanted()

    read, kept, wanted = viewed(body)
    assert (read.pause.actor, read.more, read.pause.more) == (
        "ann",
        {"freeze": later["freeze"]},
        {"colour": "red"},
    )
    assert (kept["freeze"], kept["pause"]["colour"], kept["note"]["lang"]) == (later["freeze"], "red", "en")
    assert list(wanted.admins) == ["adapter:cache"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"pause": 1}, "desired/admin/adapter:cache: pause is damaged: expected a table, found int"),
        ({"pause": {"actor": 1}}, "pause is damaged: actor: expected a text, found 1"),
        ({"pause": {"until": "soon"}}, "pause is damaged: until: expected a number, found 'soon'"),
        ({"note": {}}, "note is damaged: text missing"),
        ([], "desired/admin/adapter:cache is damaged: expected a table, found list"),
    ],
)
def test_what_has_other_types_is_damaged(viewed, value, said):
    """Nothing is coerced; the error says whose it is, and where.  All the others are wanted nevertheless."""

    async def body(store):
        desired = Desired(store, now=lambda: 5.0)
        await desired.pin(CACHE, "disk")
        await desired.impose(QUEUE, "hold")
        await store.put("desired/admin/adapter:cache", value)
        with pytest.raises(Corrupt) as found:
            await desired.admin(CACHE)
        wanted = await desired.wanted()
        assert (set(wanted.pins), set(wanted.admins)) == ({CACHE}, {str(QUEUE)})
        assert set(wanted.damaged) == {"desired/admin/adapter:cache"}
        assert wanted.damaged["desired/admin/adapter:cache"] == found.value.message
        return str(found.value)

    assert said in viewed(body)


def test_what_is_damaged_can_be_taken_back(viewed):
    """A pin and what is imposed, as any other; and what was wanted before stands until then."""

    async def body(store):
        desired = Desired(store, now=lambda: 5.0)
        await desired.pin(CACHE, "disk")
        await desired.impose(CACHE, "pause")
        before = await desired.wanted()
        await store.put("desired/pins/adapter:cache", {"provider": 7})
        await store.put("desired/admin/adapter:cache", "paused")
        damaged = await desired.wanted()
        after = damaged.after(before)
        nobody, revision = await desired.pinned_at(CACHE)
        with pytest.raises(Corrupt):
            await desired.note(CACHE, "would lose what is there")
        await desired.put_back(CACHE, None, expect=revision)
        await desired.resume(CACHE)
        clean = await desired.wanted()
        return (
            (damaged.pins, damaged.admins, len(damaged.damaged)),
            (after.pins, after.admins) == (before.pins, before.admins),
            nobody,
            (clean.pins, clean.admins, clean.damaged),
        )

    assert viewed(body) == (({}, {}, 2), True, None, ({}, {}, {}))


def test_what_names_nothing_is_refused(viewed):
    """Keys and domains have names; there are three modes."""

    async def body(store):
        desired = Desired(store)
        for call in (
            desired.pin(Key("adapter", "a/b"), "x"),
            desired.pin(CACHE, "Not A Name"),
            desired.impose("adapter:", "pause"),
            desired.note("a/b", "x"),
        ):
            with pytest.raises(PluginError):
                await call
        with pytest.raises(StateError, match="there are: hold, pause, drain"):
            await desired.impose(CACHE, "freeze")
        await store.put("desired/pins/nonsense", {"provider": "x"})
        assert "names no key" in (await desired.wanted()).damaged["desired/pins/nonsense"]
        return await store.revision("desired/") > 0

    assert viewed(body)


def test_nothing_new_is_known_cheaply(viewed):
    """The revision of what is wanted stays until somebody wants something else, whatever else happens."""

    async def body(store):
        desired = Desired(store)
        await desired.pin(CACHE, "disk")
        wanted = await desired.wanted()
        await Observed(store, "node").put(CACHE, Seen("ready", "disk"))
        await History(store).append(Event("pin", str(CACHE)))
        same = await desired.revision() == wanted.revision
        await desired.unpin(CACHE)
        return same, await desired.revision() == wanted.revision

    assert viewed(body) == (True, False)


def test_wants_are_hinted_at(viewed):
    """A reconciler that listens hears of what operators say, and of nothing else."""

    async def body(store):
        hints = Desired(store).changes()
        waiting = asyncio.ensure_future(anext(hints))
        await asyncio.sleep(0.1)
        await Observed(store, "node").put(CACHE, Seen("ready"))
        await Desired(store).impose("adapter", "pause")
        async with asyncio.timeout(10):
            return await waiting

    assert viewed(body) == "desired/admin/adapter"


def test_change_gives_up_on_a_store_that_always_refuses():
    """A thousand times, and then it says so."""

    class Refusing:
        tries = 0

        async def get(self, key):
            return None

        async def put(self, key, value, *, expect=None):
            self.tries += 1
            raise Conflict("somebody else was faster", revision=self.tries)

    store = Refusing()
    with pytest.raises(Conflict):
        asyncio.run(change(store, "a", lambda value: 1))
    assert store.tries == 1000


# --- observed ------------------------------------------------------------------------------------------------------------


def test_nodes_write_what_they_do(viewed):
    """Each its own; what a node that is gone has written is swept away, and nothing else."""

    async def body(store):
        one, two = Observed(store, "one", now=lambda: 7.0), Observed(store, "two", now=lambda: 7.0)
        await one.beat({"pid": 1}, 60.0)
        await one.put(CACHE, Seen("ready", "disk", 3, since=5.0, health="ok"))
        await one.put(QUEUE, Seen("empty", pending="no candidate"))
        await two.put(CACHE, Seen("ready", "memory", 1))
        before = await one.all(), await Observed(store).of("two")
        gone = await one.sweep()
        await one.forget(QUEUE)
        after = await Observed(store).all()
        await one.clear()
        return before, gone, after, await Observed(store).all(), [each.info for each in await one.nodes()]

    before, gone, after, cleared, nodes = viewed(body)
    two = {CACHE: Seen("ready", "memory", 1, at=7.0)}
    ready = Seen("ready", "disk", 3, since=5.0, health="ok", at=7.0)
    assert before == (
        {"one": {CACHE: ready, QUEUE: Seen("empty", pending="no candidate", at=7.0)}, "two": two},
        two,
    )
    assert (gone, after, cleared, nodes) == (["two"], {"one": {CACHE: ready}}, {}, [{"pid": 1}])


def test_node_without_a_name_only_reads(viewed):
    """And one with a slash in its name would write into another's folder."""

    async def body(store):
        for node in ("", "a/b", "x" * 201):
            with pytest.raises(StateError, match="is not the name of a node"):
                Observed(store, node)
        with pytest.raises(StateError, match="who only reads is no node"):
            await Observed(store).put(CACHE, Seen("ready"))
        return await Observed(store).all(), await Observed(store).revision()

    assert viewed(body) == ({}, 0)


# --- history ---------------------------------------------------------------------------------------------------------------


def test_history_is_told_in_order(viewed):
    """By whom, why, and what came of it; unknown fields come along."""

    async def body(store):
        history = History(store)
        swap = Event("swap", str(CACHE), "ann", "operator", "swapped", "memory", "disk", ms=12.5, node="one")
        numbers = [await history.append(swap), await history.append(Event("settings", reason="file changed"))]
        await store.append("history", {"kind": "dance", "partner": "bob"})
        found = await history.read()
        return numbers, swap, found, await history.read(after=numbers[0], limit=1)

    numbers, swap, found, one = viewed(body)
    assert [(each.number, each.event) for each in found] == [
        (numbers[0], swap),
        (numbers[1], Event("settings", reason="file changed")),
        (numbers[1] + 1, Event("dance", more={"partner": "bob"})),
    ]
    assert [each.number for each in one] == [numbers[1]]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 9, 40])
def test_latest_events(viewed, count):
    """The end of the log is found without reading all of it."""

    async def body(store):
        history = History(store)
        for number in range(count):
            await history.append(Event("swap", ms=number))
        return [told.event.ms for told in await history.latest(3)]

    assert viewed(body) == list(range(count))[-3:]


def test_history_can_be_followed(viewed):
    """What is there, and then what comes."""

    async def body(store):
        history = History(store)
        await history.append(Event("first"))
        found = []
        async with asyncio.timeout(10):
            async for told in history.follow(0, every=0.01):
                found.append(told.event.kind)
                if len(found) == 1:
                    await history.append(Event("second"))
                elif len(found) == 2:
                    break
        return found

    assert viewed(body) == ["first", "second"]
