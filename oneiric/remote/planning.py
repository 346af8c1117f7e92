"""What a body that was read comes to, in this process, under these settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs
from oneiric_hookspecs import Candidate, Changes, Entry, EntryIdentity, EntryObjection, Manifest, specs

from .artifacts import artifacts_of
from .changes import Inventory, Plan, Standing, Verdicts, compare, judged
from .decoding import Decoded, read_lines
from .entries import candidates_of, conflicts, source_of
from .quiet import no_collection

if TYPE_CHECKING:
    from .stream import Stream

_Lines = Mapping[EntryIdentity, bytes]


def plan(stream: Stream, decoded: Decoded, allow_removals: int = 0) -> Plan:
    """What is to be registered of *decoded*: every check was asked, and every candidate made.

    Nothing is registered, and nothing was done that would have to be taken back: factories were imported.

    Args:
        stream: Whose.
        decoded: The body.
        allow_removals: How many entries may vanish, as its release says.
    Raises:
        Rejected: Nothing of it may be.
        Malformed: What an older release left is damaged.
    """
    with no_collection():
        registered, policy = stream.force.registered, stream.policy()
        left: _Lines = {}
        if stream.force.decoded is None:
            decoded, left = _with_retained(stream, decoded)
        changes, skipped = compare(
            decoded,
            registered,
            stream.registry.snapshot.facts.world.markers,
            again=bool(registered) and policy != registered.policy,
        )
        changes = attrs.evolve(changes, allow_removals=allow_removals)
        verdicts, made = Verdicts(), _NOTHING
        if changes or not decoded.manifest.entries:
            verdicts, made = _decided(stream, decoded.manifest, changes)
        after = _after(decoded, registered, verdicts, made)
        after.lines = _lines(decoded, stream.force.decoded, registered, after, verdicts, left)
        after.policy, after.mark = policy, decoded.mark
        after.whole = not after.lines and len(after) == len(decoded.manifest.entries)
        return Plan(
            _changed(verdicts, registered),
            {**skipped, **verdicts.held},
            verdicts,
            made,
            after,
            tuple(line.decode() for line in after.lines.values()),
        )


_NOTHING: dict[EntryIdentity, Candidate] = {}


def _decided(
    stream: Stream, manifest: Manifest, changes: Changes
) -> tuple[Verdicts, dict[EntryIdentity, Candidate]]:
    """Ask everybody: first those who look at what is written, then those who import what it names."""
    view, snapshot = stream.view, stream.registry.snapshot
    objections = list(stream.hooks[specs.oneiric_check_manifest](view, manifest, changes))
    put = (*changes.added, *changes.changed)
    objections += conflicts(manifest, put, snapshot, source_of(stream.name))
    bad = {each.entry for each in objections if isinstance(each, EntryObjection) and each.entry is not None}
    if objections and (view.mode != "isolate" or None in bad):
        judged(
            changes, manifest, objections, view.mode
        )  # it refuses the whole, and nothing is imported for it
    made, refusals = candidates_of(
        {identity: manifest.entries[identity] for identity in put if identity not in bad},
        view,
        stream.settings,
        snapshot.domains,
        artifacts_of(stream).opener,
    )
    return judged(changes, manifest, [*objections, *refusals], view.mode), made


def _after(
    decoded: Decoded, registered: Inventory, verdicts: Verdicts, made: Mapping[EntryIdentity, Candidate]
) -> Inventory:
    entries = decoded.manifest.entries
    after = Inventory(registered)
    for identity in verdicts.drop:
        del after[identity]
    for identity in verdicts.put:
        after[identity] = Standing(entries[identity], made[identity])
    return after


def _changed(verdicts: Verdicts, registered: Inventory) -> Changes:
    """What changes in the end."""
    if not registered:
        return Changes(verdicts.put, (), verdicts.drop, 0)
    return Changes(
        tuple(identity for identity in verdicts.put if identity not in registered),
        tuple(identity for identity in verdicts.put if identity in registered),
        verdicts.drop,
        len(registered),
    )


def _lines(
    decoded: Decoded,
    before: Decoded | None,
    registered: Inventory,
    after: Inventory,
    verdicts: Verdicts,
    left: _Lines,
) -> _Lines:
    """The lines of what stands and is not of this body, so that the next start finds it."""
    if not verdicts.held and not registered.lines and not left:
        return {}
    entries = decoded.manifest.entries
    known = {} if before is None else dict(zip(before.manifest.entries, before.rows, strict=True))
    known |= {**registered.lines, **left}
    return {
        identity: known[identity]
        for identity, standing in after.items()
        if identity in left or entries.get(identity) != standing.entry
    }


def _with_retained(stream: Stream, decoded: Decoded) -> tuple[Decoded, _Lines]:
    """The body as it was in force when the process before ended: with what an older one left in the place of some."""
    active = stream.kept.active
    if active is None or not active.retained or active.sha256 != decoded.manifest.sha256:
        return decoded, {}
    lines = [line.encode() for line in active.retained]
    old = read_lines(lines, lenient=decoded.lenient)
    places = {identity[:3] for identity in old}
    entries: dict[EntryIdentity, Entry] = {
        identity: entry for identity, entry in decoded.manifest.entries.items() if identity[:3] not in places
    }
    entries.update(old)
    manifest = attrs.evolve(decoded.manifest, entries=entries)
    return attrs.evolve(decoded, manifest=manifest), dict(zip(old, lines, strict=True))
