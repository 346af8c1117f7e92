"""Leaves out what cannot run here, cannot do what was asked, or is in quarantine.  Always on."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from oneiric_hookspecs import Candidate, Objection, Request, View, a_few, hookimpl

if TYPE_CHECKING:
    from packaging.requirements import Requirement


@hookimpl
def oneiric_check_eligible(candidate: Candidate, request: Request, view: View) -> Iterable[Objection] | None:
    # Most candidates ask for nothing, and every one of them comes by here.
    if candidate.platforms or candidate.distributions or request.capabilities or view.quarantine:
        return list(_objections(candidate, request, view))
    return None


def _objections(candidate: Candidate, request: Request, view: View) -> Iterator[Objection]:
    why = view.quarantine.get(view.identity(candidate)) if view.quarantine else None
    if why is not None:
        yield Objection(f"in quarantine: {why}", remedy="a release from quarantine")
    platform = view.markers.platform
    if candidate.platforms and platform not in candidate.platforms:
        yield Objection(f"runs on {a_few(candidate.platforms)}, and this is {platform}")
    missing = request.capabilities - candidate.capabilities
    if missing:
        yield Objection(f"cannot do {a_few(missing)}")
    for line in candidate.distributions:
        yield from _not_installed(line, view)


def _not_installed(line: str, view: View) -> Iterator[Objection]:
    from packaging.utils import canonicalize_name

    requirement = _requirement(line)
    if requirement is None:
        yield Objection(f"{line!r} is not a requirement, such as redis>=5")
        return
    name = canonicalize_name(requirement.name)
    if requirement.marker is not None and not _applies(requirement, view):
        return
    found = view.markers.installed.get(name)
    if found is None:
        yield Objection(f"{name} is not installed", remedy=f"{line} installed")
    elif not requirement.specifier.contains(found, prereleases=True):
        yield Objection(f"needs {line}, and {name} {found} is installed", remedy=f"{line} installed")


@functools.lru_cache(1024)
def _requirement(line: str) -> Requirement | None:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(line)
    except InvalidRequirement:
        return None


def _applies(requirement: Requirement, view: View) -> bool:
    """Whether the requirement's own condition holds here; the view's markers go before this interpreter's."""
    python = view.markers.python
    here = {"sys_platform": view.markers.platform, "python_full_version": python}
    here["python_version"] = ".".join(python.split(".")[:2])
    assert requirement.marker is not None
    return requirement.marker.evaluate({name: value for name, value in here.items() if value})
