"""What the built-in caches agree on: which names, values and times to live they take, and what an entry weighs."""

from __future__ import annotations

from typing import Any

import attrs


def check(name: str, value: bytes = b"", ttl: float | None = None) -> None:
    """Refuse what no cache keeps, before anything happens.

    Raises:
        TypeError: *name* is no text, *value* no bytes, or *ttl* no number.
        ValueError: *ttl* is not more than 0.
    """
    if not isinstance(name, str):
        raise TypeError(f"a cache's name is a text, found {type(name).__name__}")
    if not isinstance(value, bytes):
        raise TypeError(f"a cache's value is bytes, found {type(value).__name__}")
    if ttl is not None:
        if isinstance(ttl, bool) or not isinstance(ttl, int | float):
            raise TypeError(f"a time to live is a number of seconds, found {type(ttl).__name__}")
        if not ttl > 0:
            raise ValueError(f"a time to live is more than 0 seconds, found {ttl!r}")


def encoded(name: str) -> bytes:
    """*name* as bytes.  Any text has them, a lone surrogate too."""
    return name.encode("utf-8", "surrogatepass")


def weight(name: str, value: bytes) -> int:
    """How many bytes an entry counts for: its name in UTF-8, and its value."""
    return (len(name) if name.isascii() else len(encoded(name))) + len(value)


def a_count(_: Any, attribute: attrs.Attribute[int], value: object) -> None:
    """Validate a setting: a whole number, at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{attribute.name} is a whole number, at least 1, found {value!r}")


def some_seconds(_: Any, attribute: attrs.Attribute[float], value: object) -> None:
    """Validate a setting: a number of seconds, more than 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ValueError(f"{attribute.name} is a number of seconds, more than 0, found {value!r}")
