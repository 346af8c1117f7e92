"""Names of plugins that somebody gave: several, comparable, each with who said it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from oneiric_hookspecs import PluginError

from oneiric.installed import alike


def switches(names: Mapping[str, str] | Iterable[str] | None, by: str) -> dict[str, str]:
    """*names*, comparable, each with who said it: *by*, unless a mapping says so itself.

    Raises:
        PluginError: They are no collection of texts.
    """
    given = (
        names
        if isinstance(names, Mapping)
        else dict.fromkeys(collection(() if names is None else names, by), by)
    )
    return {alike(name): who for name, who in given.items()}


def collection(names: Any, what: str) -> list[str]:
    """*names*, which are several; a lone text would be taken letter by letter.

    Raises:
        PluginError: They are no collection of texts.
    """
    if isinstance(names, (str, bytes)) or not isinstance(names, Iterable):
        hint = f'write ["{names}"]' if isinstance(names, str) else "write a list of names"
        raise PluginError(f"{what} is a collection of names, found {names!r}", hint=hint)
    found = list(names)
    for name in found:
        if not isinstance(name, str):
            raise PluginError(
                f"{what} is a collection of names, found {name!r} in it", hint="register(...) takes objects"
            )
    return found
