"""Checks of what is installed: versions that do not go together, and a second Oneiric."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

from oneiric.installed import installed, name_and_version

from .checking import Trouble, check
from .patient import Patient

CONTRACT = "oneiric-hookspecs"


@check(
    "version-contract", "fail", mends="`pip install 'oneiric-hookspecs>=...'`, as this Oneiric requires it"
)
def version_contract(patient: Patient) -> Iterator[Trouble]:
    """The contract that is installed is not the one that this Oneiric was made for."""
    mine = patient.installed.get("oneiric")
    contract = patient.installed.get(CONTRACT)
    for line in _requires(mine, CONTRACT):
        version = None if contract is None else name_and_version(contract)[1]
        if version and not _admits(line, version):
            yield Trouble(
                f"oneiric {_version(mine)} requires {line}, and {version} is installed",
                _place(contract),
                f"pip install '{line}'",
            )


@check("version-kit", "fail", mends="`pip install --upgrade KIT`")
def version_kit(patient: Patient) -> Iterator[Trouble]:
    """A kit requires another version of the contract, or of Python, than there is."""
    contract = patient.installed.get(CONTRACT)
    version = "" if contract is None else name_and_version(contract)[1]
    names = {each.distribution for group in ("oneiric", "oneiric.commands") for each in installed(group)}
    for name in sorted(names - {"oneiric", ""}):
        kit = patient.installed.get(name)
        for line in _requires(kit, CONTRACT):
            if version and not _admits(line, version):
                yield Trouble(
                    f"{name} {_version(kit)} requires {line}, and {version} is installed",
                    _place(kit),
                    f"pip install --upgrade {name}",
                )
        python = ".".join(map(str, sys.version_info[:3]))
        needed = _header(kit, "Requires-Python")
        if needed and not _admits(f"python{needed}", python):
            yield Trouble(
                f"{name} {_version(kit)} requires Python {needed}, and this is {python}",
                _place(kit),
                f"pip install --upgrade {name}",
            )


@check("version-foreign", "fail", mends="`pip uninstall oneiric`, and an install of this one by its path")
def version_foreign(patient: Patient) -> Iterator[Trouble]:
    """The distribution that is called ``oneiric`` is another project's, or another version than what is imported."""
    mine, found = sys.modules["oneiric"].__version__, patient.installed.get("oneiric")
    version = "" if found is None else name_and_version(found)[1]
    if version and version != mine:
        major = version.partition(".")[0]
        whose = "another project's" if major == "0" else "another one"
        yield Trouble(
            f"oneiric {mine} is imported, and the distribution oneiric {version} is installed, which is {whose}",
            _place(found),
            "pip uninstall oneiric",
            "then install this one again, by its path",
        )


@check("installed-twice", "warn", mends="`pip uninstall`, or PYTHONPATH without the one that is not wanted")
def installed_twice(patient: Patient) -> Iterator[Trouble]:
    """More than one ``oneiric`` lies on ``sys.path``; the first is imported, whatever was installed last."""
    spec = importlib.util.find_spec("oneiric")
    used = Path(spec.origin).resolve().parent if spec is not None and spec.origin else None
    seen = {used}
    for entry in sys.path:
        package = Path(entry or ".", "oneiric")
        if not (package / "__init__.py").is_file() or package.resolve() in seen:
            continue
        seen.add(package.resolve())
        mine = f", and the one in {used.parent} is used" if used is not None else ""
        yield Trouble(
            f"there is another oneiric in {package.parent.resolve()}{mine}",
            str(package),
            edit="take one of them out: pip uninstall oneiric, or PYTHONPATH without it",
        )


def _requires(found: Distribution | None, name: str) -> list[str]:
    """The lines of *found* that require *name*, without conditions that do not hold here."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    lines = []
    for line in (found.requires if found is not None else None) or ():
        try:
            one = Requirement(line)
        except InvalidRequirement:
            continue
        if canonicalize_name(one.name) == name and (one.marker is None or one.marker.evaluate({"extra": ""})):
            lines.append(f"{one.name}{one.specifier}")
    return lines


def _admits(line: str, version: str) -> bool:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.version import InvalidVersion

    try:
        return Requirement(line).specifier.contains(version, prereleases=True)
    except (InvalidRequirement, InvalidVersion):
        return True  # who cannot be understood is not accused


def _version(found: Distribution | None) -> str:
    return name_and_version(found)[1]


def _header(found: Distribution | None, name: str) -> str:
    return "" if found is None or name not in found.metadata else found.metadata[name]


def _place(found: Any) -> str | None:
    path = getattr(found, "_path", None)  # as everywhere: there is no public way to say where one is
    return None if path is None else str(path)
