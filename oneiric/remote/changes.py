"""What a manifest changes, and what becomes of it where somebody objects.

Rules:

C1  what is not for this process (switched off, another Python, another platform) is passed over, and never judged
C2  what stands as it did was accepted before; all else is new
C3  an objection to the whole refuses the whole
C4  ``mode = "whole"``: an objection to one entry refuses the whole, in the order of the lines
C5  ``mode = "isolate"``: what has the domain, key and provider of a bad entry stays as it was; all else is applied
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import attrs
from oneiric_hookspecs import (
    Candidate,
    Changes,
    Entry,
    EntryIdentity,
    EntryObjection,
    Manifest,
    Markers,
    Objection,
    Rejected,
    a_few,
)
from oneiric_hookspecs.remote import Code

from .decoding import Decoded, name_of


@attrs.frozen(eq=False)
class Standing:
    """An entry that is registered.

    Args:
        entry: What its line says.
        candidate: What was made of it.
    """

    entry: Entry
    candidate: Candidate


class Inventory(dict[EntryIdentity, Standing]):
    """What is registered of a stream, by identity, and what has to be known of it.

    Attributes:
        policy: What decided, as a digest.
        mark: That of the body it came from.
        whole: Whether it is that body, every entry of it.
        lines: The lines of those that an older body brought, and that still stand.
    """

    policy: str = ""
    mark: object = None
    whole: bool = False
    lines: Mapping[EntryIdentity, bytes] = MappingProxyType({})


@attrs.frozen(eq=False)
class Plan:
    """What is to be registered instead of what is.

    Args:
        changes: What changes.
        skipped: What is passed over or kept back, and why.
        verdicts: What is put and dropped.
        made: The candidates of what is put.
        registered: What will be registered.
        retained: The lines of entries that an older release brought and that still stand.
    """

    changes: Changes
    skipped: Mapping[EntryIdentity, str]
    verdicts: Verdicts = attrs.field(repr=False)
    made: Mapping[EntryIdentity, Candidate] = attrs.field(repr=False)
    registered: Inventory = attrs.field(repr=False)
    retained: tuple[str, ...] = attrs.field(default=(), repr=False)


@attrs.frozen
class Verdicts:
    """What is to be done.

    Args:
        put: The entries to register.
        drop: Those to withdraw.
        held: Those that are kept back, and why; what they would have replaced stays.
    """

    put: tuple[EntryIdentity, ...] = ()
    drop: tuple[EntryIdentity, ...] = ()
    held: Mapping[EntryIdentity, str] = attrs.field(factory=dict)


def compare(
    decoded: Decoded, registered: Inventory, markers: Markers, *, again: bool = False
) -> tuple[Changes, dict[EntryIdentity, str]]:
    """What a body changes, and what of it is passed over, with the reason.

    Args:
        decoded: The body.
        registered: What is registered of the stream.
        markers: What this interpreter is.
        again: Whether everything counts as changed, since the policy is another.
    """
    entries = decoded.manifest.entries
    if not again and registered.whole and decoded.after is registered.mark:
        # All that was there is registered as it stood, so only the lines that differ have to be looked at.
        touched: Iterable[EntryIdentity] = decoded.fresh
        gone = dict.fromkeys(decoded.gone)
    else:
        touched = entries
        gone = dict.fromkeys(registered)
        for identity in entries:
            gone.pop(identity, None)
    added, changed, skipped = [], [], {}
    for identity in touched:
        entry = entries[identity]
        gone.pop(identity, None)
        choosy = not entry.enabled or entry.platforms or entry.python
        if choosy and (reason := not_here(entry, markers)) is not None:
            skipped[identity] = reason
            if identity in registered:
                gone[identity] = None
            continue
        standing = registered.get(identity)
        if standing is None:
            added.append(identity)
        elif again or (standing.entry is not entry and standing.entry != entry):
            changed.append(identity)
    return Changes(tuple(added), tuple(changed), tuple(gone), len(registered)), skipped


def not_here(entry: Entry, markers: Markers) -> str | None:
    """Why *entry* is not for this process; None where it is."""
    if not entry.enabled:
        return "it is switched off by its publisher"
    if entry.platforms and markers.platform not in entry.platforms:
        return f"it is for {a_few(entry.platforms)}, and this is {markers.platform}"
    if entry.python and not _contains(entry.python, markers.python):
        return f"it is for Python {entry.python}, and this is {markers.python}"
    return None


@functools.lru_cache(1024)
def _contains(specifier: str, version: str) -> bool:
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(specifier).contains(version, prereleases=True)


def judged(
    changes: Changes,
    manifest: Manifest,
    objections: Sequence[Objection],
    mode: str,
) -> Verdicts:
    """What is to be done about *changes*.

    Args:
        changes: What a manifest changes.
        manifest: The manifest.
        objections: Of all judges.
        mode: ``whole`` or ``isolate``.
    Raises:
        Rejected: Nothing of it: the first objection by its line, and all of them in ``objections``.
    """
    put = (*changes.added, *changes.changed)
    if not objections:
        return Verdicts(put, changes.removed)
    ordered = sorted(objections, key=lambda each: _line(each, manifest))
    whole = [each for each in ordered if _entry(each) is None]
    if whole or mode != "isolate":
        raise rejected(whole or ordered, ordered, manifest)
    bad: dict[tuple[str, str, str], str] = {}
    for each in ordered:
        identity = _entry(each)
        assert identity is not None
        bad.setdefault(identity[:3], f"{_code(each)}: {_said(each)}")
    held = {identity: bad[identity[:3]] for identity in manifest.entries if identity[:3] in bad}
    return Verdicts(
        tuple(identity for identity in put if identity[:3] not in bad),
        tuple(identity for identity in changes.removed if identity[:3] not in bad),
        held,
    )


def rejected(first: Sequence[Objection], objections: Sequence[Objection], manifest: Manifest) -> Rejected:
    """The error that names the first of *first*, and has all *objections*."""
    told = first[0]
    identity = _entry(told)
    more = f" (and {len(objections) - 1} more)" if len(objections) > 1 else ""
    who = "" if identity is None else f"{name_of(identity)}: "
    return Rejected(
        f"{who}{_said(told)}{more}",
        code=_code(told),
        line=None if identity is None else manifest.lines.get(identity),
        objections=objections,
        hint=told.remedy,
    )


def _entry(objection: Objection) -> EntryIdentity | None:
    return objection.entry if isinstance(objection, EntryObjection) else None


def _line(objection: Objection, manifest: Manifest) -> int:
    identity = _entry(objection)
    return 0 if identity is None else manifest.lines.get(identity, 0)


def _said(objection: Objection) -> str:
    return (
        f"{objection.plugin}: {objection.reason}" if _code(objection) == "plugin-error" else objection.reason
    )


def _code(objection: Objection) -> Code:
    if objection.failed:
        return "plugin-error"
    if isinstance(objection, EntryObjection):
        return objection.code
    return "policy"
