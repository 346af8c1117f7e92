"""Who changes what, and whether anything has changed."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

from oneiric_hookspecs import Conflict, StateStore

from .places import Places, promise, refused


class Revisions(Places):
    """Who changes what, and whether anything has changed."""

    @promise
    async def test_revisions_grow(self, store: StateStore) -> None:
        """Over all keys; and a key that was deleted begins with none that it had."""
        given = [await store.put(key, 1) for key in ("a", "b", "a", "c/d")]
        await store.delete("a")
        given.append(await store.put("a", 1))
        assert given == sorted(set(given))
        assert given[0] >= 1

    @promise
    async def test_put_expects(self, store: StateStore) -> None:
        """Only who knows the revision changes the value; the error says which it is."""
        first = await store.put("a", 1, expect=0)
        for wrong in (0, first + 1, max(1, first - 1)):
            if wrong == first:
                continue
            with refused(wrong, Conflict) as refusals:
                await store.put("a", "lost", expect=wrong)
            assert [getattr(each, "revision", None) for each in refusals] == [first]
        second = await store.put("a", 2, expect=first)
        with refused("the revision before", Conflict):
            await store.put("a", "lost", expect=first)
        with refused("a revision of what is not there", Conflict):
            await store.put("b", "lost", expect=first)
        stored = await store.get("a")
        assert stored is not None
        assert (stored.value, stored.revision, await store.get("b")) == (2, second, None)

    @promise
    async def test_delete_expects(self, store: StateStore) -> None:
        """As ``put`` does; what is not there is deleted already, unless somebody expects it."""
        first = await store.put("a", 1)
        for wrong in (0, first + 1):
            with refused(wrong, Conflict):
                await store.delete("a", expect=wrong)
        await store.delete("a", expect=first)
        await store.delete("a")
        await store.delete("a", expect=0)
        with refused("a revision of what is not there", Conflict):
            await store.delete("a", expect=first)
        assert await store.get("a") is None

    @promise
    async def test_what_is_no_revision_isrefused(self, store: StateStore) -> None:
        """A revision to expect is a whole number, 0 or more."""
        await store.put("a", 1)
        wrong: Any
        for wrong in (-1, True, 1.0, "1"):
            with refused(wrong):
                await store.put("a", 2, expect=wrong)
            with refused(wrong):
                await store.delete("a", expect=wrong)
        assert [stored.value for _, stored in await store.scan("")] == [1]

    @promise
    async def test_equal_revisions_mean_nothing_changed(self, store: StateStore) -> None:
        """Below any prefix, also one that ends within a name, a number never comes again after a change."""
        prefixes = ("", "a", "a/", "a/b", "a/b/", "a/b/c", "a/b/c/d/e/f/g/h/i/j/", "a/b/c/d/e/f/g/h/i/j/k")
        changes: list[Callable[[], Awaitable[Any]]] = [
            lambda: store.put("a/b/c/d/e/f/g/h/i/j/k", 1),
            lambda: store.put("a/b/c/d/e/f/g/h/i/j/k", 1),
            lambda: store.delete("a/b/c/d/e/f/g/h/i/j/k"),
            lambda: store.put("a/b/c/d/e/f/g/h/i/j/k", 1),
        ]
        seen: dict[str, list[int]] = {prefix: [await store.revision(prefix)] for prefix in prefixes}
        for change in changes:
            await change()
            for prefix in prefixes:
                seen[prefix].append(await store.revision(prefix))
        for prefix, numbers in seen.items():
            assert len(set(numbers)) == len(numbers), (prefix, numbers)
        assert {prefix: await store.revision(prefix) for prefix in prefixes} == {
            prefix: numbers[-1] for prefix, numbers in seen.items()
        }

    @promise
    async def test_what_changes_nothing_moves_no_revision(self, store: StateStore) -> None:
        """A conflict, a refusal, deleting what is not there, records and heartbeats leave every revision as it is."""
        await store.put("a/b", 1)
        before = await store.revision(""), await store.revision("a/")
        with refused("a revision", Conflict):
            await store.put("a/b", 2, expect=0)
        with refused("NaN"):
            await store.put("a/b", math.nan)
        await store.delete("a/c")
        await store.append("a/b", 1)
        await store.beat("a/b", 1, 10.0)
        assert (await store.revision(""), await store.revision("a/")) == before

    @promise
    async def test_folders_do_not_move_each_other(self, store: StateStore) -> None:
        """What happens below one first name leaves the revisions below another alone: to look there again is cheap."""
        for folder in ("desired", "observed", "requests", "desired2"):
            await store.put(f"{folder}/x", 1)
        before = await store.revision("desired/")
        for number in range(20):
            await store.put(f"observed/{number}", number)
            await store.put(f"desired2/{number}", number)
            await store.delete("requests/x")
        assert await store.revision("desired/") == before
