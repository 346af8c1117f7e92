"""Profiles: named layers over the files, some of which are built in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from oneiric_hookspecs import a_few, nearest

from .layers import PROFILE, Layer, merged
from .plain import FREE, Fault, found, freeze

VARIABLE = "ONEIRIC_PROFILE"
USUAL = "default"

#: What each of the built-in profiles sets; a file's ``[profile.NAME]`` is laid over it.
BUILT_IN: Mapping[str, Mapping[str, Any]] = {
    # Nothing: the files as they are.
    "default": {},
    # A process that may be frozen or ended at any moment, on a disk that is not its own: nothing is kept between two
    # runs, nothing is watched or fetched beside what it is called for, and it is closed within the two seconds that
    # platforms give.
    "serverless": {
        "lifecycle": {
            "drain_timeout": 0.5,
            "close_timeout": 0.5,
            "cancel_grace": 0.25,
            "shutdown_timeout": 1.5,
        },
        "orchestrate": {"watch": False, "remote": False},
        "state": {"url": "memory:"},
    },
    # Nothing that happens to be installed, and nothing that stays.
    "test": {"plugins": {"auto_load": False}, "state": {"url": "memory:"}},
}


def names(documents: Sequence[Layer]) -> list[str]:
    """The profiles there are: those built in, and those of the files."""
    return list(dict.fromkeys([*BUILT_IN, *written(documents)]))


def written(documents: Sequence[Layer]) -> list[str]:
    """The profiles of the files."""
    names = (
        name
        for each in documents
        for name, table in _profiles(each).items()
        if isinstance(table, Mapping) and not name.startswith(FREE)
    )
    return list(dict.fromkeys(names))


def layers(name: str, documents: Sequence[Layer]) -> list[Layer]:
    """The layers of profile *name*, the weakest first: the built-in one, and that of each file."""
    title = f"{PROFILE} {name}"
    made = (
        [Layer("profile", title, freeze(BUILT_IN[name]), under=(PROFILE, name))] if BUILT_IN.get(name) else []
    )
    for each in documents:
        table = _profiles(each).get(name)
        if isinstance(table, Mapping):
            made.append(Layer("profile", title, table, each.file, each.text, (PROFILE, name)))
    return made


def without(tables: Mapping[str, Any]) -> Mapping[str, Any]:
    """The tables of a file that are no profile's."""
    if PROFILE not in tables:
        return tables
    return MappingProxyType({name: table for name, table in tables.items() if name != PROFILE})


def malformed(documents: Sequence[Layer]) -> list[Fault]:
    """What is no table where a profile, or all of them, should be; their content is the sections' matter."""
    faults = []
    for each in documents:
        profiles = each.tables.get(PROFILE, {})
        if not isinstance(profiles, Mapping):
            faults.append(Fault((PROFILE,), f"expected a table for each profile, found {found(profiles)}"))
            continue
        for name, table in profiles.items():
            if name.startswith(FREE):
                continue
            if not isinstance(table, Mapping):
                hint = f"name the profile it is of: [{PROFILE}.NAME]"
                message = f"expected a table for each profile, found {found(table)}"
                faults.append(Fault((PROFILE, name), message, hint))
            elif PROFILE in table:
                faults.append(Fault((PROFILE, name, PROFILE), "a profile has no profiles"))
    return faults


def laid_over(tables: Mapping[str, Any], name: str, documents: Sequence[Layer]) -> Mapping[str, Any]:
    """*tables* with profile *name* laid over them."""
    for layer in layers(name, documents):
        tables = merged(tables, layer.tables)
    return tables


def unknown(name: str, known: Sequence[str]) -> tuple[str, str]:
    """What to say about a profile that there is not, and what was perhaps meant."""
    near = nearest(name, known)
    return f"there is no profile {name!r}", f"did you mean {near}?" if near else f"there are: {a_few(known)}"


def _profiles(document: Layer) -> Mapping[str, Any]:
    profiles = document.tables.get(PROFILE)
    return profiles if isinstance(profiles, Mapping) else {}
