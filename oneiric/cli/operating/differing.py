"""What running processes have that is not what would win now."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs
from oneiric_hookspecs import Request, SettingsError

if TYPE_CHECKING:
    from oneiric_hookspecs import Key

    from oneiric.cli.context import Context
    from oneiric.runtime import Runtime
    from oneiric.state import Seen


@attrs.frozen
class Differing:
    """What is bound in processes that live, against what would win.

    Args:
        nodes: The processes that live.
        changes: What differs, plain data, by process and key.
    """

    nodes: tuple[str, ...]
    changes: tuple[dict[str, Any], ...]


def differing(context: Context, runtime: Runtime) -> Differing:
    """Compare what is bound in running processes with what wins here, with what operators have pinned.

    Raises:
        StateError: The state store cannot be read.
    """
    from .stored import pinned

    pinned(context, runtime)
    try:
        found = asyncio.run(_bound(runtime))
    except SettingsError:
        found = {}  # no plugin brings the store: nobody can say that he runs
    changes = [
        change
        for node, parts in sorted(found.items())
        for key, seen in sorted(parts.items())
        if (change := _change(runtime, node, key, seen)) is not None
    ]
    return Differing(tuple(sorted(found)), tuple(changes))


async def _bound(runtime: Runtime) -> dict[str, dict[Key, Seen]]:
    from oneiric.state import Observed, living

    from .desk import store_of

    store = store_of(runtime)
    try:
        observed = Observed(store)
        return {each.name: await observed.of(each.name) for each in await living(store)}
    finally:
        await store.close()


def _change(runtime: Runtime, node: str, key: Key, seen: Seen) -> dict[str, Any] | None:
    if seen.provider is None:
        return None
    decision = runtime.snapshot.decide(Request(key))
    winner = None if decision.winner is None else decision.winner.provider
    if winner == seen.provider:
        return None
    if not decision.rows:
        because = "it is registered in that process alone"
    else:
        because = str(decision.because) or str(decision.error or "").splitlines()[0]
    return {
        "node": node,
        "domain": key.domain,
        "key": key.name,
        "kind": "winner",
        "before": seen.provider,
        "after": winner,
        "because": because,
    }
