"""The distribution of a kit: what its metadata, or the ``pyproject.toml`` in its folder, says."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import attrs
from oneiric_hookspecs import PluginError

from oneiric.installed import installed


@attrs.frozen
class Project:
    """A distribution that brings a kit.

    Args:
        name: As it is written.
        version: Of it.
        requires: Its requirements, extras' too, each with its marker.
        groups: Its entry points: by group, targets by name.
        dynamic: Whether what it requires is only known when it is built.
        folder: Where its sources are; None where it was installed from elsewhere.
    """

    name: str
    version: str = "0"
    requires: tuple[str, ...] = ()
    groups: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict)
    folder: Path | None = None
    dynamic: bool = False

    @property
    def entry_points(self) -> Mapping[str, str]:
        """Those of the group ``oneiric``: targets by name."""
        return self.groups.get("oneiric", {})

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """As ``pyproject.toml`` in *folder* says.

        Raises:
            PluginError: It cannot be read, or has no name.
        """
        file = folder / "pyproject.toml"
        try:
            about = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise PluginError(f"cannot be read: {error}", where=str(file)) from error
        table = about.get("project")
        if not isinstance(table, dict) or not isinstance(table.get("name"), str):
            raise PluginError("there is no [project] with a name", where=str(file))
        requires = list(_texts(table.get("dependencies")))
        extras = table.get("optional-dependencies")
        for extra, listed in extras.items() if isinstance(extras, dict) else ():
            requires += [_with_extra(each, extra) for each in _texts(listed)]
        groups = {
            group: {name: target for name, target in entries.items() if isinstance(target, str)}
            for group, entries in _tables(table.get("entry-points"))
        }
        dynamic = "dependencies" in _texts(table.get("dynamic"))
        return cls(table["name"], str(table.get("version", "0")), tuple(requires), groups, folder, dynamic)

    @classmethod
    def of_distribution(cls, distribution: metadata.Distribution) -> Self:
        """As its installed metadata say."""
        groups: dict[str, dict[str, str]] = {}
        for entry in distribution.entry_points:
            groups.setdefault(entry.group, {})[entry.name] = entry.value.partition("[")[0].strip()
        return cls(
            distribution.metadata["Name"],
            distribution.version,
            tuple(distribution.requires or ()),
            groups,
            _editable(distribution),
            "Requires-Dist" in (distribution.metadata.get_all("Dynamic") or ()) and not distribution.requires,
        )

    @classmethod
    def installed(cls, name: str) -> Self | None:
        """The installed distribution of that name; None where there is none."""
        try:
            return cls.of_distribution(metadata.distribution(name))
        except (metadata.PackageNotFoundError, ValueError):
            return None

    @classmethod
    def bringing(cls, module: str) -> Self | None:
        """The installed distribution with an entry point for *module*, or for one of its package."""
        entries = [each for each in installed("oneiric") if each.distribution and not each.fault]
        exactly = [each for each in entries if module_of(each.target) == module]
        top = module.partition(".")[0]
        nearly = [each for each in entries if module_of(each.target).partition(".")[0] == top]
        for each in (*exactly, *nearly):
            return cls.installed(each.distribution)
        return None

    def entry_for(self, module: str) -> tuple[str, str] | None:
        """The name and target of the entry point for *module*; None where there is none, or several."""
        found = [(name, target) for name, target in self.entry_points.items() if module_of(target) == module]
        return found[0] if len(found) == 1 else None

    def write_metadata(self, into: Path) -> Path:
        """Write what an installer would write about it into *into*; returns the ``.dist-info``."""
        version = re.sub(r"[^A-Za-z0-9.+!]", "", self.version) or "0"
        about = into / f"{re.sub(r'[-_.]+', '_', self.name)}-{version}.dist-info"
        about.mkdir(parents=True, exist_ok=True)
        lines = ["Metadata-Version: 2.1", f"Name: {self.name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {each}" for each in self.requires]
        lines += ["Dynamic: Requires-Dist"] * self.dynamic
        (about / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
        text = "".join(
            f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in entries.items())
            for group, entries in self.groups.items()
        )
        (about / "entry_points.txt").write_text(text, encoding="utf-8")
        return about


def module_of(target: str) -> str:
    """The module that the target of an entry point names."""
    return target.partition(":")[0].strip()


def alike(name: str) -> str:
    """*name* as packaging compares distributions: lower case, one hyphen for any run of ``-_.``."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _tables(given: Any) -> list[tuple[str, dict[str, Any]]]:
    return (
        [(name, each) for name, each in given.items() if isinstance(each, dict)]
        if isinstance(given, dict)
        else []
    )


def _texts(given: Any) -> tuple[str, ...]:
    return tuple(each for each in given if isinstance(each, str)) if isinstance(given, list) else ()


def _with_extra(requirement: str, extra: str) -> str:
    if ";" in requirement:
        plain, _, marker = requirement.partition(";")
        return f"{plain.strip()}; ({marker.strip()}) and extra == '{extra}'"
    return f"{requirement}; extra == '{extra}'"


def _editable(distribution: metadata.Distribution) -> Path | None:
    """The folder that an editable installation points to."""
    try:
        about = json.loads(distribution.read_text("direct_url.json") or "null")
    except ValueError:
        return None
    if not isinstance(about, dict) or not about.get("dir_info", {}).get("editable"):
        return None
    parts = urlsplit(str(about.get("url", "")))
    return Path(unquote(parts.path)) if parts.scheme == "file" else None
