"""What makes ``json.loads`` strict: a name stands once in an object, and numbers are numbers."""

from __future__ import annotations

from typing import Any, NoReturn


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For ``object_pairs_hook``.  Raises: ValueError: a name is given twice."""
    table: dict[str, Any] = {}
    for name, value in pairs:
        if name in table:
            raise ValueError(f"{name!r} is given twice")
        table[name] = value
    return table


def no_constant(word: str) -> NoReturn:
    """For ``parse_constant``, which is given NaN and the infinities.  Raises: ValueError, always."""
    raise ValueError(f"{word} is no number of JSON")
