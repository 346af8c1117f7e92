"""What running processes say of themselves, read from the state store: for ``status`` and ``health``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
from oneiric_hookspecs import Key

from .moments import stamp

if TYPE_CHECKING:
    from oneiric.state import Living, Observed, Seen

    from .desk import Desk


async def summary_of(observed: Observed, node: str) -> Mapping[str, Any] | None:
    """What *node* says of itself as a whole; None where it has said nothing yet, or nothing that is understood."""
    found = await observed.summary(node)
    return found if isinstance(found, Mapping) else None


async def look(desk: Desk, only: str | None, key: Key | None) -> dict[str, Any]:
    """All that is known of the running processes, as plain data; where none runs, what was known last.

    Args:
        desk: The command's.
        only: The domain that is asked for; None for all.
        key: The part; None for all.
    """
    from oneiric.state import living

    observed, there = desk.observed, {each.name: each for each in await living(desk.store)}
    wanted = await desk.wanted()
    last = [] if there else sorted(await observed.writers())
    nodes, parts = [], []
    for name in [*there, *last]:
        summary = await summary_of(observed, name)
        measured = _within(summary, "parts")
        nodes.append({**_node(name, there.get(name)), "summary": _of_domain(summary, only)})
        for part, seen in sorted((await observed.of(name)).items()):
            if only in (None, part.domain) and key in (None, part):
                pin = wanted.pins.get(part)
                row = _row(name, part, seen, None if pin is None else pin.provider)
                parts.append(row | {"wanted": wanted.revision, "measured": measured.get(str(part))})
    pins = {
        str(part): pin.provider
        for part, pin in sorted(wanted.pins.items())
        if only in (None, part.domain) and key in (None, part)
    }
    return {
        "running": bool(there),
        "nodes": nodes,
        "parts": parts,
        "domains": _domains(nodes),
        "pins": pins,
        "desired": wanted.revision,
    }


def _node(name: str, living: Living | None) -> dict[str, Any]:
    if living is None:
        return {"node": name, "living": False}
    node = living.node
    return {
        "node": name,
        "living": True,
        "host": node.host,
        "pid": node.pid,
        "started": stamp(node.started),
        "desired": node.desired,
        "closing": node.closing,
        "age_seconds": round(living.age, 1),
    }


def _row(node: str, key: Key, seen: Seen, pin: str | None) -> dict[str, Any]:
    facts = attrs.asdict(seen)
    for name in ("more", "fingerprint"):
        del facts[name]
    return {
        "node": node,
        "domain": key.domain,
        "key": key.name,
        "pin": pin,
        **facts,
        "since": stamp(seen.since),
        "at": stamp(seen.at),
    }


def _within(summary: Mapping[str, Any] | None, name: str) -> Mapping[str, Any]:
    """A table of a summary; another version may have written something else there."""
    found = None if summary is None else summary.get(name)
    return found if isinstance(found, Mapping) else {}


def _of_domain(summary: Mapping[str, Any] | None, only: str | None) -> dict[str, Any] | None:
    """*summary* without what stands at the parts, and with one domain only, where that is asked for."""
    if summary is None:
        return None
    found = {name: value for name, value in summary.items() if name != "parts"}
    domains = _within(summary, "domains")
    return found | {"domains": {name: each for name, each in domains.items() if only in (None, name)}}


def _domains(nodes: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """What is counted of each domain, in all processes that live."""
    found: dict[str, dict[str, int]] = {}
    for node in nodes:
        for domain, block in _within(node["summary"], "domains").items() if node["living"] else ():
            counts = found.setdefault(domain, {})
            for name, number in _within(block, "counts").items():
                counts[name] = counts.get(name, 0) + number
    return dict(sorted(found.items()))
