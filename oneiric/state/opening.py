"""Which store the settings choose; and that store, opened when it is first asked."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterable

from oneiric_hookspecs import (
    JSON,
    NodeSeen,
    OneiricError,
    Problem,
    Record,
    Retention,
    SettingsError,
    StateError,
    StateStore,
    Store,
    Stored,
)

from oneiric.hooks import Answer
from oneiric.hooks.choosing import choose_one
from oneiric.settings import Settings
from oneiric.settings.places import state_folder

#: What the plugins declare by ``oneiric_stores``, each with the plugin's name.
Declared = Iterable[Answer]


def choose(settings: Settings, declared: Declared) -> tuple[Store, str, str]:
    """The store that ``[state] url`` means, what stands behind the colon, and the plugin that brings it.

    Raises:
        SettingsError: No plugin brings that scheme, or more than one.
    """
    scheme, _, rest = settings.state.url.partition(":")

    def refuse(message: str, hint: str) -> SettingsError:
        return SettingsError([Problem("state.url", message, settings.where("state", "url"), hint)])

    found = choose_one(
        declared, scheme, of="scheme", what=f"a store {scheme!r}", refuse=refuse, written="{}:"
    )
    return found.value, rest, found.plugin


def retention(settings: Settings) -> Retention:
    """How much of each log is kept."""
    return Retention(settings.state.history_records, settings.state.history_days * 86_400.0)


class ApplicationStore:
    """The store of one application, a ``StateStore``: opened when it is first asked, and closed with the runtime.

    Who asks while it is being opened waits for that; an opening that failed is told to all who waited, and tried again
    for the next one.

    Args:
        settings: Gives the settings in force; asked when it is opened.
        declared: Gives what plugins declare; the same.
        gate: Called before anything is done; raises where the store may not be used now, or not from here.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        declared: Callable[[], Declared],
        gate: Callable[[], object] = lambda: None,
    ) -> None:
        self._settings, self._declared, self._gate = settings, declared, gate
        self._opening: asyncio.Task[StateStore] | None = None
        self._closed = False

    @property
    def is_open(self) -> bool:
        """Whether it has been opened, and not closed."""
        return self._opened is not None and not self._closed

    @property
    def _opened(self) -> StateStore | None:
        task = self._opening
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            return None
        return task.result()

    async def _store(self) -> StateStore:
        self._gate()
        if self._closed:
            raise StateError("the state store is closed")
        opened = self._opened
        if opened is not None:
            return opened
        if self._opening is None or self._opening.done():
            # A task of its own: who asked first may go away, and others wait for the same.
            self._opening = asyncio.get_running_loop().create_task(self._open(), name="open the state store")
        opening = self._opening
        await asyncio.wait({opening})
        if self._closed:
            raise StateError("the state store was closed while it was being opened")
        if opening.cancelled():  # by whoever ends the loop
            raise StateError("the state store was not opened: that was cancelled")
        error = opening.exception()
        if isinstance(error, OneiricError):
            raise error.twin()  # each who waits gets one of his own
        return opening.result()

    async def _open(self) -> StateStore:
        settings = self._settings()
        store, rest, plugin = choose(settings, self._declared())
        try:
            opened = store.open(rest, state_folder(settings), retention(settings))
            if inspect.isawaitable(opened):
                opened = await opened
        except OneiricError:
            raise
        except Exception as error:
            raise StateError(
                f"the store {store.scheme!r} of plugin {plugin} did not open: {type(error).__name__}: {error}",
                where=settings.where("state", "url"),
            ) from error
        if not isinstance(opened, StateStore):
            raise StateError(
                f"plugin {plugin} opens a store {store.scheme!r} that is none: {type(opened).__name__}",
                hint="see oneiric_hookspecs.StateStore",
            )
        return opened

    async def close(self) -> None:
        """Close what was opened; a second time does nothing.

        Raises:
            Exception: What closing it raised.
        """
        if self._closed:
            return
        self._closed = True
        if self._opening is None:
            return
        try:
            await asyncio.wait({self._opening})  # whatever comes of it is closed below
        except asyncio.CancelledError:
            self._opening.cancel()  # it takes too long
            raise
        opened = self._opened
        if opened is not None:
            await opened.close()

    # --- the store's methods -------------------------------------------------------------------------------------

    async def get(self, key: str) -> Stored | None:
        """As of the contract, like all below."""
        return await (await self._store()).get(key)

    async def put(self, key: str, value: JSON, *, expect: int | None = None) -> int:
        return await (await self._store()).put(key, value, expect=expect)

    async def scan(self, prefix: str) -> list[tuple[str, Stored]]:
        return await (await self._store()).scan(prefix)

    async def delete(self, key: str, *, expect: int | None = None) -> None:
        await (await self._store()).delete(key, expect=expect)

    async def revision(self, prefix: str) -> int:
        return await (await self._store()).revision(prefix)

    async def changes(self, prefix: str) -> AsyncIterator[str]:
        async for key in (await self._store()).changes(prefix):
            yield key

    async def beat(self, node: str, info: JSON, ttl: float) -> None:
        await (await self._store()).beat(node, info, ttl)

    async def nodes(self) -> list[NodeSeen]:
        return await (await self._store()).nodes()

    async def append(self, log: str, record: JSON) -> int:
        return await (await self._store()).append(log, record)

    async def read(self, log: str, after: int = 0, limit: int = 1000) -> list[Record]:
        return await (await self._store()).read(log, after, limit)
