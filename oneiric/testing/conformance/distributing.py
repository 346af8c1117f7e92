"""Rules about the distribution of a kit; skipped where it is none."""

from __future__ import annotations

from collections.abc import Iterator

from .kit import Kit
from .outcome import Broken, Skip
from .project import Project, alike, module_of


def _project(kit: Kit) -> Project:
    if kit.project is None:
        raise Skip(
            f"{kit.module} is of no installed distribution; install it (pip install -e .), or oneiric check its folder"
        )
    return kit.project


def _at(kit: Kit) -> str | None:
    """Where its metadata are written."""
    folder = None if kit.project is None else kit.project.folder
    return f"{folder / 'pyproject.toml'}:1" if folder is not None else kit.where


def names_agree(kit: Kit) -> Iterator[Broken]:
    """Distribution, import package and entry point are one name, spelled in three ways."""
    project = _project(kit)
    name, package = alike(project.name), alike(kit.top)
    short = name.removeprefix("oneiric-")
    if package != name:
        yield Broken(
            f"the distribution {project.name} holds the package {kit.top}",
            _at(kit),
            f"one of them is misnamed: {project.name} imports as {name.replace('-', '_')}",
        )
    if len(project.entry_points) == 1:
        (entry, target) = next(iter(project.entry_points.items()))
        if alike(entry) not in (name, short):
            yield Broken(
                f"the entry point of {project.name} is called {entry}",
                _at(kit),
                f"call it {short}: it is the name that people switch on and off",
            )
        if module_of(target).partition(".")[0] != kit.top:
            yield Broken(f"the entry point {entry} names {target}, not {kit.module}", _at(kit))


def is_typed(kit: Kit) -> Iterator[Broken]:
    """Its package says that it has types: there is a ``py.typed``."""
    root = kit.root
    if root is None or not root.is_dir():
        raise Skip("it is a lone module; only packages have py.typed")
    if not (root / "py.typed").is_file():
        yield Broken(
            f"{root.name} has no py.typed, so nobody sees its types",
            f"{root / '__init__.py'}:1",
            "add an empty file py.typed beside __init__.py, and to the package data",
        )


def requires_the_contract(kit: Kit) -> Iterator[Broken]:
    """It requires ``oneiric-hookspecs>=1.0,<2``, and not the kernel."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    project = _project(kit)
    if project.dynamic:
        raise Skip("what it requires is known when it is built; install it, and check it by its name")
    contract = False
    for text in project.requires:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        extra = requirement.marker is not None and "extra" in str(requirement.marker)
        if name == "oneiric" and not extra:
            yield Broken(
                f"{project.name} requires the kernel: {text}",
                _at(kit),
                "require oneiric-hookspecs>=1.0,<2; the kernel is for its tests, in an extra",
            )
        if name == "oneiric" and "0.99" in requirement.specifier:
            yield Broken(f"{text} admits what is before 1.0", _at(kit), "write oneiric>=1.0")
        if name == "oneiric-hookspecs" and not extra:
            contract = True
            if "0.99" in requirement.specifier or "2.0" in requirement.specifier:
                yield Broken(
                    f"{project.name} requires {text}",
                    _at(kit),
                    "write oneiric-hookspecs>=1.0,<2: within 1 nothing is taken away",
                )
            elif not any(f"1.{minor}" in requirement.specifier for minor in range(100)):
                yield Broken(f"{text} admits no version 1", _at(kit), "write oneiric-hookspecs>=1.0,<2")
    if not contract:
        yield Broken(
            f"{project.name} does not require oneiric-hookspecs",
            _at(kit),
            'add "oneiric-hookspecs>=1.0,<2" to dependencies',
        )
