"""What nodes do: of each process that lives, what it has bound, since when, and how well that is.

``observed/NODE/adapter:cache``; each node writes its own, so nobody is in anybody's way.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable

import attrs
from oneiric_hookspecs import JSON, Conflict, Key, NodeSeen, PluginError, StateError, StateStore

from .values import Kept, plain, scanned, value_of

_ALL, _SUMMARIES = "observed/", "summary/"


@attrs.frozen
class Seen(Kept):
    """One part in one process.

    Args:
        phase: As in the runtime's status: ``empty activating ready swapping confirming probation backoff draining
            drained failed closed``.
        provider: Who serves; None where nobody does.
        generation: Its number.
        since: Since when it serves, in seconds since 1970.
        fingerprint: What it was built from, as one text.
        health: Its last answer: ``ok degraded unknown failed``; None before the first.
        reason: What that answer said.
        pending: What is wanted and not so yet, in a sentence.
        error: The last failure since the last success.
        mode: What is in force of hold, pause and drain; None for nothing.
        left: Who still had it when it was drained, and lost it.
        desired: The revision of what operators want that this part was acted on for.
        outcome: What came of that: ``swapped activated unchanged rolled_back failed held``, or ``pinned`` where nothing
            was bound and it counts from the first use on; empty where nobody wanted anything yet.
        told: What went wrong with it, in a sentence.
        exit: What a command that waited for it exits with.
        ms: How many milliseconds it took.
        previous: The provider that was promoted before; None where there was none.
        at: When this was written, in seconds since 1970.
    """

    phase: str
    provider: str | None = None
    generation: int | None = None
    since: float | None = None
    fingerprint: str = ""
    health: str | None = None
    reason: str = ""
    pending: str = ""
    error: str = ""
    mode: str | None = None
    desired: int | None = None
    outcome: str = ""
    told: str = ""
    exit: int = 0
    ms: float | None = None
    previous: str | None = None
    at: float = 0.0
    left: tuple[str, ...] = ()


class Observed:
    """The view on what nodes do.

    Args:
        store: Where it is kept.
        node: The node that writes; None for one who only reads.
        now: Gives seconds since 1970.
    """

    def __init__(
        self, store: StateStore, node: str | None = None, *, now: Callable[[], float] = time.time
    ) -> None:
        self._store, self._now = store, now
        self.node = node
        if node is not None and not (0 < len(node) <= 200 and "/" not in node and node.isprintable()):
            raise StateError(
                f"{node!r} is not the name of a node", hint="1 to 200 printable characters without a /"
            )

    # --- saying it ---------------------------------------------------------------------------------------------------

    async def put(self, key: Key, seen: Seen) -> int:
        """Write down how *key* is here, now; the revision of that."""
        return await self._store.put(self._name(key), plain(attrs.evolve(seen, at=self._now())))

    async def forget(self, key: Key) -> None:
        """Nothing is known of *key* here any more."""
        await self._store.delete(self._name(key))

    async def beat(self, info: JSON, ttl: float) -> None:
        """Say that this node lives, for the next *ttl* seconds."""
        await self._store.beat(self._writer(), info, ttl)

    async def sum_up(self, summary: JSON) -> None:
        """Write down how this node is as a whole: latencies, counts, streams, watchers."""
        await self._store.put(f"{_SUMMARIES}{self._writer()}", summary)

    async def clear(self, node: str | None = None) -> bool:
        """Forget all that was written of a node: this one where None.

        Returns:
            Whether it was done here; False where nothing was written, or another one was faster.
        """
        node = node or self._writer()
        entries, damaged = await scanned(self._store, f"{_ALL}{node}/")
        summary = f"{_SUMMARIES}{node}"
        if (stored := await self._store.get(summary)) is not None:
            entries.append((summary, stored))
        for name in [*damaged, *(name for name, _ in entries[:-1])]:
            await self._store.delete(name)
        # The last is the same for all who do this at the same time, and one of them has removed it.
        for name, stored in entries[-1:]:
            try:
                await self._store.delete(name, expect=stored.revision)
            except Conflict:
                return False
        return bool(entries)

    async def sweep(self) -> list[str]:
        """Forget what was written of nodes that do not live any more; their names."""
        # The living last: one that begins between the two lives, and had written nothing.
        written = await self._named(_ALL)
        gone = sorted(written - {each.node for each in await self._store.nodes()} - {self.node})
        for node in gone:
            await self.clear(node)
        return gone

    async def writers(self) -> set[str]:
        """The nodes of which something is written, those that live no more too."""
        return await self._named(_ALL) | await self._named(_SUMMARIES)

    async def _named(self, start: str) -> set[str]:
        entries, damaged = await scanned(self._store, start)
        return {name.removeprefix(start).partition("/")[0] for name in [*dict(entries), *damaged]}

    def _writer(self) -> str:
        if self.node is None:
            raise StateError("who only reads is no node", hint="Observed(store, NODE)")
        return self.node

    def _name(self, key: Key) -> str:
        return f"{_ALL}{self._writer()}/{Key.of(*key)}"

    # --- reading it --------------------------------------------------------------------------------------------------

    async def nodes(self) -> list[NodeSeen]:
        """The processes that live, by name."""
        return await self._store.nodes()

    async def of(self, node: str) -> dict[Key, Seen]:
        """What a node does, by key; without what is damaged, until it is written again."""
        start = f"{_ALL}{node}/"
        return {
            _key(name, start): value_of(Seen, stored.value, name)
            for name, stored in (await scanned(self._store, start))[0]
        }

    async def seen(self, node: str, key: Key) -> Seen | None:
        """What a node does with one part; None where it has said nothing of it."""
        name = f"{_ALL}{node}/{Key.of(*key)}"
        stored = await self._store.get(name)
        return None if stored is None else value_of(Seen, stored.value, name)

    async def all(self) -> dict[str, dict[Key, Seen]]:
        """What all nodes do, those that live no more too, by node and key."""
        found: dict[str, dict[Key, Seen]] = {}
        for name, stored in (await scanned(self._store, _ALL))[0]:
            node = _node(name)
            found.setdefault(node, {})[_key(name, f"{_ALL}{node}/")] = value_of(Seen, stored.value, name)
        return found

    async def summary(self, node: str) -> JSON:
        """How a node is as a whole, as it last said; None where it has said nothing."""
        stored = await self._store.get(f"{_SUMMARIES}{node}")
        return None if stored is None else stored.value

    async def revision(self) -> int:
        """Equal to that of another time only if no node has written anything in between."""
        return await self._store.revision(_ALL)

    def changes(self) -> AsyncIterator[str]:
        """Hints that something may have changed; see ``StateStore.changes``."""
        return self._store.changes(_ALL)


def _node(name: str) -> str:
    return name.removeprefix(_ALL).partition("/")[0]


def _key(name: str, start: str) -> Key:
    try:
        return Key.parse(name.removeprefix(start))
    except PluginError as error:
        raise StateError(f"{name} names no key: {error.message}", hint="delete it") from None
