"""Contracts of well-known adapter keys, so that the providers of one key can take each other's place."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Cache(Protocol):
    """``adapter:cache``: values by name, which may be forgotten at any time.

    Names are texts, values bytes; a provider that cannot keep a value drops it rather than fail.  All methods
    may be called from many tasks at once.  A caller sees its own writes.
    """

    async def get(self, name: str) -> bytes | None:
        """The value under *name*; None where there is none, or it has expired."""

    async def set(self, name: str, value: bytes, ttl: float | None = None) -> None:
        """Keep *value* under *name*, for *ttl* seconds (more than 0); None keeps it as long as there is room."""

    async def delete(self, name: str) -> bool:
        """Forget *name*; whether it was there."""

    async def clear(self) -> None:
        """Forget everything."""
