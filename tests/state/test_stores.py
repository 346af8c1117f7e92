"""Both built-in stores keep what every store promises."""

import asyncio
import contextlib
import threading

import pytest

from oneiric.plugins.stores.memory import MemoryStore
from oneiric.plugins.stores.sqlite import SqliteStore
from oneiric.testing.stores import StoreConformance


class TestSqlite(StoreConformance):
    """The store in a file."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.folder = tmp_path
        yield
        assert [each for each in threading.enumerate() if each.name.startswith("oneiric-sqlite")] == []

    async def open(self, place, retention):
        return await SqliteStore.open(self.folder / place / "state.db", retention, look_every=0.05)

    @contextlib.asynccontextmanager
    async def away(self, place):
        """A file in the place of the folder: nothing can be reached through it, whoever asks."""
        folder, elsewhere = self.folder / place, self.folder / f"{place}-away"
        folder.rename(elsewhere)
        folder.write_text("")
        yield
        folder.unlink()
        elsewhere.rename(folder)


class TestMemory(StoreConformance):
    """The store in this process."""

    durable = False

    async def open(self, place, retention):
        return MemoryStore(place, retention)


def broken(**methods):
    """The store in memory, with these methods instead."""
    kind = type("Broken", (MemoryStore,), methods)

    class Suite(StoreConformance):
        durable = True
        patience = 0.3

        async def open(self, place, retention):
            return kind(place, retention)

    return Suite()


async def forgets(self, key, value, *, expect=None):
    return 1


async def anyway(self, key, value, *, expect=None):
    return await MemoryStore.put(self, key, value)


async def by_pattern(self, prefix):
    found = await MemoryStore.scan(self, "")
    return [each for each in found if each[0].lower().startswith(prefix.lower())]


async def moved_by_all(self, prefix):
    return await MemoryStore.revision(self, "")


async def never_moved(self, prefix):
    return 0


async def lives_on(self):
    found = await MemoryStore.nodes(self)
    self.known = getattr(self, "known", {}) | {each.node: each for each in found}
    return sorted(self.known.values(), key=lambda each: each.node)


async def all_of_them(self, log, after=0, limit=1000):
    return await MemoryStore.read(self, log, 0, 10_000)


async def stays_open(self):
    """Nothing."""


async def silent(self, prefix):
    await asyncio.Event().wait()
    yield


async def one_behind(self, prefix):
    return max(0, await MemoryStore.revision(self, prefix) - 1)


async def for_a_moment(self):
    """Only those that were heard of just now."""
    return [each for each in await MemoryStore.nodes(self) if each.age < 0.001]


FAULTS = {
    "test_values_come_back_as_they_were": {"put": forgets},
    "test_put_expects": {"put": anyway},
    "test_many_tasks_lose_nothing": {"put": anyway},
    "test_prefixes_are_texts_and_nothing_else": {"scan": by_pattern},
    "test_folders_do_not_move_each_other": {"revision": moved_by_all},
    "test_equal_revisions_mean_nothing_changed": {"revision": never_moved},
    "test_nodes_live_as_long_as_they_say": {"nodes": lives_on},
    "test_logs_are_read_in_pieces": {"read": all_of_them},
    "test_nothing_goes_on_after_the_end": {"close": stays_open},
    "test_hints_of_one_s_own_changes": {"changes": silent},
    "test_what_was_put_is_there_again": {},
    "test_many_nodes_live_and_go": {"nodes": for_a_moment},
    "test_many_stores_lose_nothing": {"put": anyway},
    "test_the_first_of_many_wins": {"put": anyway},
    "test_the_revision_of_a_folder_keeps_up": {"revision": one_behind},
}


@contextlib.asynccontextmanager
async def hardly_away(self, place):
    """Nothing happens to it."""
    yield


async def ends_early(self, prefix):
    for _ in range(3):
        await asyncio.sleep(0.05)
    return
    yield


@pytest.mark.parametrize(
    ("name", "methods"),
    [
        ("test_a_place_that_is_away_comes_back", {}),
        ("test_hints_go_on_when_a_place_is_back", {}),
        ("test_hints_go_on_when_a_place_is_back", {"changes": ends_early}),
    ],
    ids=["answers", "answers-hints", "hints-end"],
)
def test_suite_finds_who_is_never_away(name, methods):
    """A store that gives something of a place that is away, or whose hints end with it, fails."""
    suite = broken(**methods)
    type(suite).away = hardly_away
    if methods:
        type(suite)._fails = lambda self, call: asyncio.sleep(0)
    with pytest.raises(AssertionError):
        getattr(suite, name)()


@pytest.mark.parametrize("name", FAULTS)
def test_suite_finds_what_is_broken(name):
    """A store that breaks one promise fails the test of that promise."""
    if name.endswith("lose_nothing"):

        async def slow(self, key):
            found = await MemoryStore.get(self, key)
            await asyncio.sleep(0)
            return found

        methods = FAULTS[name] | {"get": slow}
    else:
        methods = FAULTS[name]
    with pytest.raises((AssertionError, TimeoutError)):
        getattr(broken(**methods), name)()
