"""A stream stays inside its scope: the keys, the priorities and the secrets that its settings name.  Always on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from oneiric_hookspecs import Changes, EntryObjection, Manifest, StreamView, a_few, hookimpl

_REFERENCE = "$secret"


@hookimpl
def oneiric_check_manifest(
    stream: StreamView, manifest: Manifest, changes: Changes
) -> Iterable[EntryObjection]:
    inside = re.compile("|".join(_as_expression(each) for each in stream.scope) or "(?!)").fullmatch
    everywhere = "*:*" in stream.scope
    lowest, highest = stream.priority_band
    for identity in (*changes.added, *changes.changed):
        entry = manifest.entries[identity]
        if not everywhere and inside(key := f"{entry.domain}:{entry.key}") is None:
            reason = f"{key} is outside the scope of the stream: {a_few(stream.scope) or 'nothing'}"
            yield EntryObjection(reason, code="scope", entry=identity)
        if not lowest <= entry.priority <= highest:
            reason = f"its priority is {entry.priority}, and the stream's are from {lowest} to {highest}"
            yield EntryObjection(reason, code="scope", entry=identity)
        if entry.settings:
            for name in dict.fromkeys(_referred(entry.settings)):
                if name not in stream.secrets:
                    reason = f"it refers to the secret {name!r}, which the stream's secrets do not name"
                    yield EntryObjection(reason, code="secret", entry=identity)


def _as_expression(pattern: str) -> str:
    """*pattern*, in which a star is any part of a name, and everything else itself."""
    return ".*".join(map(re.escape, pattern.split("*")))


def _referred(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if _REFERENCE in value:
            yield str(value[_REFERENCE])
            return
        for each in value.values():
            yield from _referred(each)
    elif isinstance(value, list):
        for each in value:
            yield from _referred(each)
