"""Entry points of what is installed, where one distribution whose metadata is damaged hides none of the others."""

from __future__ import annotations

from importlib import metadata

#: The entry-point group of factories that are named ``ep:NAME``.
FACTORIES = "oneiric.factories"


def factories() -> list[metadata.EntryPoint]:
    """The factories that installed distributions bring."""
    try:
        return list(metadata.entry_points(group=FACTORIES))
    except Exception:  # one of them cannot be read, and ``importlib.metadata`` raises for all
        found: dict[str, list[metadata.EntryPoint]] = {}
        for dist in metadata.distributions():
            try:
                name, brought = dist.name, [each for each in dist.entry_points if each.group == FACTORIES]
            except Exception:  # who brings what cannot be read brings nothing
                continue
            found.setdefault(name, brought)
        return [each for brought in found.values() for each in brought]
