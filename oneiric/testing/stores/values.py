"""What is put comes back, and what cannot is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from oneiric_hookspecs import StateStore

from .places import Places, promise, refused
from .samples import HOSTILE, NO_KEYS, NOT_PLAIN, VALUES


class Values(Places):
    """What is put comes back, and what cannot is refused."""

    @promise
    async def test_is_a_state_store(self, store: StateStore) -> None:
        """It has every method of the contract."""
        assert isinstance(store, StateStore)

    @promise
    async def test_nothing_is_there_at_first(self, store: StateStore) -> None:
        """A fresh place is empty, and asking it is no error."""
        found = await store.get("a"), await store.scan(""), await store.nodes(), await store.read("log")
        assert found == (None, [], [], [])
        assert await store.revision("") == 0
        await store.delete("a")

    @promise
    async def test_values_come_back_as_they_were(self, store: StateStore) -> None:
        """The same value, of the same types; and the revision that ``put`` gave."""
        for number, value in enumerate(VALUES):
            revision = await store.put(f"values/{number}", value)
            stored = await store.get(f"values/{number}")
            assert stored is not None
            assert (repr(stored.value), stored.revision) == (repr(value), revision)

    @promise
    async def test_values_are_copies(self, store: StateStore) -> None:
        """What somebody does with his copy changes nobody else's."""
        value = {"list": [1]}
        await store.put("a", value)
        value["list"].append(2)
        for _ in range(2):
            stored = await store.get("a")
            assert stored is not None
            assert stored.value == {"list": [1]}
            stored.value["list"].append(3)

    @promise
    async def test_what_is_not_plain_isrefused(self, store: StateStore) -> None:
        """And nothing is changed: neither the value nor any revision."""
        await store.put("a", 1)
        before = await store.get("a"), await store.revision("")
        for make in NOT_PLAIN:
            value = make()
            with refused(value):
                await store.put("a", value)
            with refused(value):
                await store.append("log", value)
            with refused(value):
                await store.beat("node", value, 10.0)
        circle: list[Any] = []
        circle.append(circle)
        with refused("a list in itself"):
            await store.put("a", circle)
        assert (await store.get("a"), await store.revision("")) == before
        assert (await store.read("log"), await store.nodes()) == ([], [])

    @promise
    async def test_what_is_no_key_isrefused(self, store: StateStore) -> None:
        """By every method that takes one."""
        for key in NO_KEYS:
            calls: list[Callable[[], Awaitable[Any]]] = [
                lambda key=key: store.get(key),  # type: ignore[misc]
                lambda key=key: store.put(key, 1),  # type: ignore[misc]
                lambda key=key: store.delete(key),  # type: ignore[misc]
                lambda key=key: store.append(key, 1),  # type: ignore[misc]
                lambda key=key: store.read(key),  # type: ignore[misc]
                lambda key=key: store.beat(key, 1, 10.0),  # type: ignore[misc]
            ]
            for call in calls:
                with refused(key):
                    await call()
        assert (await store.scan(""), await store.nodes(), await store.revision("")) == ([], [], 0)

    @promise
    async def test_keys_are_texts_and_nothing_else(self, store: StateStore) -> None:
        """No key is another's pattern, case, or normal form; they are scanned in the order of their code points."""
        revisions = {key: await store.put(key, [key]) for key in HOSTILE}
        found = await store.scan("")
        assert [key for key, _ in found] == sorted(HOSTILE)
        assert {key: stored.revision for key, stored in found} == revisions
        for key in HOSTILE:
            stored = await store.get(key)
            assert stored is not None
            assert stored.value == [key]
        for key in HOSTILE[::2]:
            await store.delete(key)
        assert {key for key, _ in await store.scan("")} == set(HOSTILE[1::2])

    @promise
    async def test_prefixes_are_texts_and_nothing_else(self, store: StateStore) -> None:
        """A prefix means what begins with it: ``%``, ``_``, ``*`` and letters of either case stand for themselves."""
        for key in HOSTILE:
            await store.put(key, None)
        prefixes = {each[:length] for each in HOSTILE for length in (0, 1, 2, 3, len(each))}
        for prefix in sorted(prefixes | {"\ud7ff", "zzz", "a%", "A"}):
            found = [key for key, _ in await store.scan(prefix)]
            assert found == sorted(key for key in HOSTILE if key.startswith(prefix)), repr(prefix)
