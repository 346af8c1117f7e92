"""Plugins that are installed: their entry points, sorted, each with the distribution that brings it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from oneiric_hookspecs import PluginError

if TYPE_CHECKING:
    from importlib import metadata


class Installed(NamedTuple):
    """An entry point.  They sort by distribution, then by name; a tuple, for attrs compares field by field in Python.

    Args:
        distribution: The distribution that brings it.
        name: The entry point's name.
        target: What it names: ``pkg.mod`` or ``pkg.mod:attr``.
        version: The distribution's version.
    """

    distribution: str
    name: str
    target: str
    version: str


def installed(group: str, distributions: Iterable[metadata.Distribution] | None = None) -> list[Installed]:
    """The entry points of *group*, sorted.

    Args:
        group: Their group.
        distributions: Where to look; None for everything that is installed.
    """
    if distributions is None:
        from importlib import metadata  # with email and zipfile in its train

        # This skips what is shadowed by an earlier folder of sys.path, and reads no metadata of others.
        pairs = [(entry, entry.dist) for entry in metadata.entry_points(group=group)]
    else:
        pairs = [
            (entry, dist) for dist in distributions for entry in dist.entry_points if entry.group == group
        ]
    found = []
    for entry, dist in pairs:
        name, version = _name_and_version(dist)
        # What stands in brackets are extras, an old habit that nothing reads.
        found.append(Installed(name, entry.name, entry.value.partition("[")[0].strip(), version))
    return sorted(found)


_FOLDER = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)\.dist-info")
_HEADER = re.compile(r"^(Name|Version):[ \t]*(\S+)", re.MULTILINE)


def _name_and_version(dist: metadata.Distribution | None) -> tuple[str, str]:
    """The name, as packaging compares it, and the version; empty where nobody knows."""
    if dist is None:
        return "", ""
    # The name of the folder says both, by the specification of installed distributions.  It is private, but the
    # public way opens and parses a file for each, which makes looking at 200 of them cost twice as much.
    folder = _FOLDER.fullmatch(getattr(getattr(dist, "_path", None), "name", ""))
    if folder is not None:
        return alike(folder["name"]), folder["version"]
    text = dist.read_text("METADATA") or dist.read_text("PKG-INFO") or ""
    found = dict(reversed(_HEADER.findall(text.partition("\n\n")[0])))
    return alike(found.get("Name", "")), found.get("Version", "")


def alike(name: str) -> str:
    """*name* as packaging compares distributions: lower case, one hyphen for any run of ``-_.``."""
    return re.sub(r"[-_.]+", "-", name).lower()


def switches(names: Mapping[str, str] | Iterable[str] | None, by: str) -> dict[str, str]:
    """*names*, comparable, each with who said it: *by*, unless a mapping says so itself.

    Raises:
        PluginError: They are no collection of texts.
    """
    given = (
        names
        if isinstance(names, Mapping)
        else dict.fromkeys(collection(() if names is None else names, by), by)
    )
    return {alike(name): who for name, who in given.items()}


def collection(names: Any, what: str) -> list[str]:
    """*names*, which are several; a lone text would be taken letter by letter.

    Raises:
        PluginError: They are no collection of texts.
    """
    if isinstance(names, (str, bytes)) or not isinstance(names, Iterable):
        hint = f'write ["{names}"]' if isinstance(names, str) else "write a list of names"
        raise PluginError(f"{what} is a collection of names, found {names!r}", hint=hint)
    found = list(names)
    for name in found:
        if not isinstance(name, str):
            raise PluginError(
                f"{what} is a collection of names, found {name!r} in it", hint="register(...) takes objects"
            )
    return found
