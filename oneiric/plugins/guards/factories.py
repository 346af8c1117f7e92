"""A stream names only factories it may name, of distributions that are installed.  Always on.

``ep:NAME`` is an entry point that one installed distribution has: whoever installed that decided.  ``pkg.mod:attr`` is
one that the stream's settings name.  Nothing is imported to find out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache

from oneiric_hookspecs import Changes, EntryObjection, Manifest, StreamView, hookimpl, nearest

from oneiric.plugins._entry_points import factories


@hookimpl
def oneiric_check_manifest(
    stream: StreamView, manifest: Manifest, changes: Changes
) -> Iterable[EntryObjection]:
    # Remembered for this manifest alone: what is installed may be another by the next.
    names, missing_of = cache(_names), cache(_missing)
    reason_of = cache(lambda factory: _refused(stream, factory, names))
    for identity in (*changes.added, *changes.changed):
        entry = manifest.entries[identity]
        if (reason := reason_of(entry.factory)) is not None:
            yield EntryObjection(reason, code="factory", entry=identity)
        for line in entry.distributions:
            if (missing := missing_of(line)) is not None:
                yield EntryObjection(
                    missing, remedy=f"{line} installed", code="distributions", entry=identity
                )


def _refused(stream: StreamView, factory: str, names: Callable[[], Counter[str]]) -> str | None:
    """Why a factory may not be named; None where it may."""
    if not factory.startswith("ep:"):
        return None if stream.may_name(factory) else f"{factory} is not among the stream's factories"
    name, there = factory.removeprefix("ep:"), names()
    if there[name] == 1:
        return None
    if there[name]:
        return f"{there[name]} distributions have a factory {name!r}, and nobody says which is meant"
    near = nearest(name, there)
    hint = f"; did its publisher mean ep:{near}?" if near else ""
    return f"no distribution that is installed has a factory {name!r}{hint}"


def _names() -> Counter[str]:
    return Counter(each.name for each in factories())


def _missing(line: str) -> str | None:
    """Why a requirement is not met; None where it is, or its own condition does not hold here."""
    from importlib.metadata import PackageNotFoundError, version

    from packaging.requirements import Requirement

    requirement = Requirement(line)
    if requirement.marker is not None and not requirement.marker.evaluate():
        return None
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return f"it needs {line}, and {requirement.name} is not installed"
    if not requirement.specifier.contains(found, prereleases=True):
        return f"it needs {line}, and {requirement.name} {found} is installed"
    return None
