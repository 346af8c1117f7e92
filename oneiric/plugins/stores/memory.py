"""Store ``memory``: in this process, gone with it; for tests, and for applications that want to keep nothing.

``"memory:"`` is everybody's own: each time it is opened, it is another one.  ``"memory:NAME"`` is one and the same for
all in this process who have that name open, in whatever thread; when the last of them closes it, it is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from oneiric_hookspecs import (
    JSON,
    NodeSeen,
    Record,
    Retention,
    StateError,
    Store,
    Stored,
    check_name,
    hookimpl,
)

from oneiric.plugins._state import (
    MAX_FOLDERS,
    Clocks,
    Hints,
    Listeners,
    check_count,
    check_expect,
    check_key,
    check_ttl,
    conflict,
    decode,
    encode,
    folder_of,
    folders_of,
)


class _Place:
    """What one or several stores hold; all of it under its lock.

    Values are kept as JSON, so that nobody's copy is anybody else's.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.stores: list[MemoryStore] = []
        self.entries: dict[str, tuple[str, int]] = {}
        self.folders: dict[str, int] = {}
        self.forgotten = 0
        self.logs: dict[str, tuple[int, dict[int, tuple[float, str]]]] = {}
        self.nodes: dict[str, tuple[str, float, tuple[float, float, str]]] = {}

    def next(self, key: str) -> int:
        """The next revision, which the folders of *key* have from now on."""
        number = self.folders.get("", 0) + 1
        self.folders.update(dict.fromkeys(folders_of(key), number))
        if len(self.folders) > MAX_FOLDERS:
            oldest = sorted(self.folders.items(), key=lambda item: item[1])[: MAX_FOLDERS // 2]
            self.forgotten = oldest[-1][1]
            for folder, _ in oldest:
                del self.folders[folder]
        return number

    def tell(self, key: str, revision: int) -> None:
        """Give a hint to all stores."""
        for store in self.stores:
            store.tell(key, revision)


_named: weakref.WeakValueDictionary[str, _Place] = weakref.WeakValueDictionary()
_naming = threading.Lock()


class MemoryStore:
    """A state store in this process.

    Args:
        name: Shared with those who have the same; empty for one of its own.
        keep: How much to keep of logs.
        clocks: Where its times come from.
    """

    def __init__(
        self, name: str = "", keep: Retention | None = None, *, clocks: Clocks | None = None
    ) -> None:
        self._keep, self._clocks = keep or Retention(), clocks or Clocks()
        self._loop = asyncio.get_running_loop()
        self._listeners = Listeners()
        self._opened: _Place | None = None
        with _naming:
            place = (_named.get(name) if name else None) or _Place()
            if name:
                _named[name] = place
            with place.lock:
                place.stores.append(self)
        self._opened = place

    @property
    def _place(self) -> _Place:
        return self._opened if self._opened is not None else self._is_closed()

    def _is_closed(self) -> NoReturn:
        raise StateError("the state store is closed")

    async def get(self, key: str) -> Stored | None:
        """As of the contract, like all below."""
        place = self._place
        check_key(key)
        with place.lock:
            found = place.entries.get(key)
        return None if found is None else _stored(key, *found)

    async def put(self, key: str, value: JSON, *, expect: int | None = None) -> int:
        place = self._place
        check_key(key)
        check_expect(expect)
        text = encode(value, f"the value of {key}")
        with place.lock:
            self._expect(place, key, expect)
            revision = place.next(key)
            place.entries[key] = text, revision
            place.tell(key, revision)
        return revision

    async def scan(self, prefix: str) -> list[tuple[str, Stored]]:
        place = self._place
        check_key(prefix, "prefix", empty=True)
        with place.lock:
            found = sorted(item for item in place.entries.items() if item[0].startswith(prefix))
        return [(key, _stored(key, *held)) for key, held in found]

    async def delete(self, key: str, *, expect: int | None = None) -> None:
        place = self._place
        check_key(key)
        check_expect(expect)
        with place.lock:
            self._expect(place, key, expect)
            if place.entries.pop(key, None) is not None:
                place.next(key)
                place.tell(key, 0)

    @staticmethod
    def _expect(place: _Place, key: str, expect: int | None) -> None:
        _, found = place.entries.get(key, ("", 0))
        if expect is not None and found != expect:
            raise conflict(key, expect, found)

    async def revision(self, prefix: str) -> int:
        place = self._place
        check_key(prefix, "prefix", empty=True)
        with place.lock:
            return place.folders.get(folder_of(prefix), place.forgotten)

    def changes(self, prefix: str) -> Hints:
        """As of the contract; all stores of one name are told at once."""
        check_key(prefix, "prefix", empty=True)
        if self._opened is None:
            self._is_closed()
        return self._listeners.add(Hints(prefix))

    def tell(self, key: str, revision: int) -> None:
        """Say that *key* has changed; from any thread."""
        if self._listeners:
            with contextlib.suppress(RuntimeError):  # its loop is closed, with all who listened
                self._loop.call_soon_threadsafe(self._listeners.tell, key, revision)

    async def beat(self, node: str, info: JSON, ttl: float) -> None:
        place = self._place
        check_key(node, "name of a node")
        check_ttl(ttl)
        text = encode(info, f"what {node} says")
        with place.lock:
            if node not in place.nodes:
                for gone in [each for each, held in place.nodes.items() if self._age(held) >= held[1]]:
                    del place.nodes[gone]
            place.nodes[node] = text, ttl, self._clocks.stamp()

    async def nodes(self) -> list[NodeSeen]:
        place = self._place
        with place.lock:
            found = [(node, held, self._age(held)) for node, held in sorted(place.nodes.items())]
        return [
            NodeSeen(node, decode(text, f"what {node} says"), age)
            for node, (text, ttl, _), age in found
            if age < ttl
        ]

    def _age(self, held: tuple[str, float, tuple[float, float, str]]) -> float:
        return self._clocks.since(*held[2])

    async def append(self, log: str, record: JSON) -> int:
        place = self._place
        check_key(log, "name of a log")
        text, at = encode(record, f"the record for {log}"), self._clocks.wall()
        with place.lock:
            last, records = place.logs.get(log, (0, {}))
            number = last + 1
            records[number] = at, text
            place.logs[log] = number, records
            while records:
                oldest = next(iter(records))
                if oldest > number - self._keep.records and records[oldest][0] >= at - self._keep.seconds:
                    break
                del records[oldest]
        return number

    async def read(self, log: str, after: int = 0, limit: int = 1000) -> list[Record]:
        place = self._place
        check_key(log, "name of a log")
        check_count(after, "the number to read after")
        check_count(limit, "how many to read", 1)
        with place.lock:
            last, records = place.logs.get(log, (0, {}))
            least = max(after, last - self._keep.records)
            found = [(number, *held) for number, held in records.items() if number > least][:limit]
        return [Record(number, at, decode(text, f"record {number} of {log}")) for number, at, text in found]

    async def close(self) -> None:
        """Let go of what is in it; a second time does nothing."""
        place, self._opened = self._opened, None
        if place is not None:
            with place.lock:
                place.stores.remove(self)
            self._listeners.end()


def _stored(key: str, text: str, revision: int) -> Stored:
    return Stored(decode(text, f"the value of {key}"), revision)


def open_store(rest: str, folder: Path, keep: Retention) -> MemoryStore:
    """Open what ``memory:REST`` means.  Raises: PluginError, it is no name."""
    return MemoryStore(check_name(rest, "name of a store in memory") if rest else "", keep)


@hookimpl
def oneiric_stores() -> Iterable[Store]:
    """Declare ``memory``."""
    yield Store(
        "memory",
        open_store,
        "in this process, gone with it",
        lambda rest, folder: (),
        lambda rest, folder, prefix: (),
        shared=False,
    )
