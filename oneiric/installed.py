"""What is installed: entry points, each with the distribution that brings it, read without importing anybody.

One distribution whose metadata is damaged hides none of the others: ``importlib.metadata`` would raise for all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from importlib import metadata


class Installed(NamedTuple):
    """An entry point.  They sort by distribution, then by name; a tuple, for attrs compares field by field in Python.

    Args:
        distribution: The distribution that brings it; empty where nobody knows.
        name: The entry point's name.
        target: What it names: ``pkg.mod`` or ``pkg.mod:attr``.
        version: The distribution's version; empty where nobody knows.
        group: The group it was read from.
        fault: Why it cannot be read; then its name is the distribution's, and its target the damaged file's place.
    """

    distribution: str
    name: str
    target: str
    version: str
    group: str = ""
    fault: str = ""


def installed(group: str, distributions: Iterable[metadata.Distribution] | None = None) -> list[Installed]:
    """The entry points of *group*, sorted.

    Args:
        group: Their group.
        distributions: Where to look; None for everything that is installed.
    """
    if distributions is not None:
        return sorted(each for dist in distributions for each in _of(dist, group))
    from importlib import metadata  # with email and zipfile in its train

    try:
        # This skips what is shadowed by an earlier folder of sys.path, and reads no metadata of others.
        pairs = [(entry, entry.dist) for entry in metadata.entry_points(group=group)]
        return sorted(_installed(entry, *name_and_version(dist)) for entry, dist in pairs)
    except Exception:
        # One of them is damaged: look at each by itself, to say which.
        found: dict[str, list[Installed]] = {}
        for dist in metadata.distributions():
            found.setdefault(name_and_version(dist)[0], _of(dist, group))
        return sorted(each for several in found.values() for each in several)


def _of(dist: metadata.Distribution, group: str) -> list[Installed]:
    name, version = name_and_version(dist)
    try:
        return [_installed(entry, name, version) for entry in dist.entry_points if entry.group == group]
    except Exception as error:
        path = getattr(dist, "_path", None)
        return [
            Installed(name, name, where, version, group, fault)
            for fault, where in _damage(None if path is None else path / "entry_points.txt", group, error)
        ]


def _installed(entry: metadata.EntryPoint, name: str, version: str) -> Installed:
    # What stands in brackets are extras, an old habit that nothing reads.
    return Installed(name, entry.name, entry.value.partition("[")[0].strip(), version, entry.group)


def _damage(file: Any, group: str, error: Exception) -> Iterator[tuple[str, str]]:
    """What is wrong with *file*, and where; nothing if it has no word of *group*: then it is none of ours."""
    try:
        data: bytes = file.read_bytes()
    except Exception:
        return  # who brings what cannot be read brings nothing that is known
    if b"[" + group.encode() not in data:
        return
    number, what = 0, f"{type(error).__name__}: {error}"
    if isinstance(error, UnicodeDecodeError):
        number = data.count(b"\n", 0, error.start) + 1
        what = f"is not UTF-8: byte 0x{data[error.start]:02x}"
    else:
        for line, text in enumerate(data.decode(errors="replace").splitlines(), 1):
            if text.strip() and text.strip()[0] not in "#[" and "=" not in text:
                number, what = line, f"{text.strip()[:40]!r} is no entry point: it has no ="
                break
    yield f"entry_points.txt {what}", f"{file}:{number}" if number else str(file)


def written_at(distribution: str, group: str, name: str) -> str | None:
    """``file:line`` where *distribution* says what the entry point is; None where nobody knows."""
    from importlib import metadata

    for dist in metadata.distributions():
        path: Any = getattr(dist, "_path", None)
        if path is None or name_and_version(dist)[0] != distribution:
            continue
        section = ""
        for number, line in enumerate((dist.read_text("entry_points.txt") or "").splitlines(), 1):
            text = line.strip()
            if text.startswith("["):
                section = text.strip("[]").strip()
            elif section == group and text.partition("=")[0].strip() == name:
                return f"{path / 'entry_points.txt'}:{number}"
        return None
    return None


_FOLDER = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)\.dist-info")
_HEADER = re.compile(r"^(Name|Version):[ \t]*(\S+)", re.MULTILINE)


def name_and_version(dist: metadata.Distribution | None) -> tuple[str, str]:
    """The name, as packaging compares it, and the version; each is empty where nobody knows."""
    if dist is None:
        return "", ""
    # The name of the folder says both, by the specification of installed distributions.  It is private, but the
    # public way opens and parses a file for each, which makes looking at 200 of them cost twice as much.
    folder = getattr(getattr(dist, "_path", None), "name", "")
    both = _FOLDER.fullmatch(folder)
    if both is not None:
        return alike(both["name"]), both["version"]
    try:
        text = dist.read_text("METADATA") or dist.read_text("PKG-INFO") or ""
    except Exception:
        text = ""  # it is not text
    found = dict(reversed(_HEADER.findall(text.partition("\n\n")[0])))
    stem = re.fullmatch(r"([^-]+)(?:-.*)?\.(?:dist|egg)-info", folder)
    return alike(found.get("Name", "") or (stem[1] if stem else "")), found.get("Version", "")


def alike(name: str) -> str:
    """*name* as packaging compares distributions: lower case, one hyphen for any run of ``-_.``.

    It is text that any file can hold: bytes of a file's name that are no text are written out.
    """
    plain = re.sub(r"[-_.]+", "-", name).lower()
    return plain if plain.isascii() else plain.encode(errors="backslashreplace").decode()
