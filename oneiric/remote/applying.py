"""What was planned is registered, in one step; or what was before is put back, in one step too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from oneiric_hookspecs import EntryIdentity, FileRef, Key

from .changes import Inventory, Plan
from .entries import source_of
from .quiet import no_collection

if TYPE_CHECKING:
    from .stream import Stream


def apply(stream: Stream, plan: Plan, artifacts: Mapping[str, FileRef] | None = None) -> Inventory:
    """Register what *plan* says; readers see what was or what is, and nothing in between.

    Args:
        stream: Whose.
        plan: What is put, and what is withdrawn.
        artifacts: Those that are there; each candidate finds its own by its digest.
    Returns:
        What was registered before, for ``take_back``.
    Raises:
        PluginError: The registry takes one of them not; nothing has changed.
    """
    put, drop = plan.verdicts.put, plan.verdicts.drop
    if not put and not drop:
        return stream.force.registered
    with no_collection():
        source, registry, order = source_of(stream.name), stream.registry, stream.order
        known = registry.snapshot.facts.origins.get(source.name)
        if known is not None and known.rank[1] == order:
            made = [plan.made[identity] for identity in put]
            registry.amend(source, made, [_registered(identity) for identity in drop], order=order)
        else:
            # It takes its place among the streams, or another one, and each of its shelves is ordered by that.
            everything = [standing.candidate for standing in plan.registered.values()]
            registry.replace(source, everything, order=order)
    return stream.force.registered


def take_back(stream: Stream, undone: Inventory) -> None:
    """Register what was registered before, and nothing else: what was applied could not be kept."""
    source, registry = source_of(stream.name), stream.registry
    if undone:
        everything = [standing.candidate for standing in undone.values()]
        registry.replace(source, everything, order=stream.order)
    else:
        registry.withdraw(source.name)


def _registered(identity: EntryIdentity) -> tuple[Key, str, str | None]:
    """An identity in the words of the registry."""
    domain, key, provider, version = identity
    return Key(domain, key), provider, version or None
