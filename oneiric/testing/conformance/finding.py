"""Kits by what people call them: a folder, a file, a module, a distribution, an entry point.  Nothing is imported."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import attrs
from oneiric_hookspecs import OneiricError, a_few, nearest

from oneiric.installed import installed

from .project import Project, module_of


class NoKit(OneiricError):
    """There is no kit of that name, or none in that place."""

    exit_code = 3


@attrs.frozen
class Target:
    """One kit to be looked at.

    Args:
        name: What it is called.
        module: To be imported.
        attribute: Of the module; empty for the module itself.
        path: Folders that it is found in, if it is not installed.
        project: Its metadata, if it is not installed.
    """

    name: str
    module: str
    attribute: str = ""
    path: tuple[Path, ...] = ()
    project: Project | None = None

    def install(self, into: Path) -> list[str]:
        """What has to stand first on ``sys.path`` for it to be as good as installed; metadata go to *into*."""
        if self.project is None:
            return [str(folder) for folder in self.path]
        about = self.project.write_metadata(into)
        if self.project.folder is not None:
            editable = {"url": self.project.folder.as_uri(), "dir_info": {"editable": True}}
            (about / "direct_url.json").write_text(json.dumps(editable), encoding="utf-8")
        return [str(into), *(str(folder) for folder in self.path)]


def find(what: str, beside: Path) -> list[Target]:
    """The kits that *what* means.

    Args:
        what: As somebody wrote it.
        beside: The folder in which modules are found that are not installed.
    Raises:
        NoKit: There is none.
        PluginError: There is a ``pyproject.toml`` that cannot be read.
    """
    path = Path(what)
    if path.is_dir():
        return _in_folder(path.resolve())
    if path.suffix == ".py" and path.is_file():
        return [Target(path.stem, path.stem, path=(path.resolve().parent,))]
    if os.sep in what or path.suffix == ".py":
        raise NoKit(f"there is no {what}", hint="name a kit's folder, a module, or a distribution")
    project = Project.installed(what)
    if project is not None and project.entry_points:
        return [_target(name, target) for name, target in sorted(project.entry_points.items())]
    entries = {each.name: each.target for each in installed("oneiric") if not each.fault}
    if what in entries:
        return [_target(what, entries[what])]
    module, _, attribute = what.partition(":")
    if _is_module(module, beside):
        return [Target(what, module, attribute)]
    if project is not None:
        raise NoKit(f"{project.name} has no entry point of the group oneiric", hint=_GROUP)
    near = nearest(what, entries)
    there = f"installed: {a_few(entries)}" if entries else "no kit is installed"
    raise NoKit(
        f"there is no kit {what}",
        hint=f"did you mean {near}?"
        if near
        else f"name a kit's folder, a module, or a distribution; {there}",
    )


_GROUP = 'add [project.entry-points.oneiric] with a line such as hello = "oneiric_hello"'


def _target(name: str, value: str) -> Target:
    return Target(name, module_of(value), value.partition("[")[0].partition(":")[2].strip())


def _in_folder(folder: Path) -> list[Target]:
    if (folder / "pyproject.toml").is_file():
        project = Project.of_folder(folder)
        if not project.entry_points:
            raise NoKit(
                f"{project.name} has no entry point of the group oneiric",
                where=str(folder / "pyproject.toml"),
                hint=_GROUP,
            )
        source = folder / "src"
        roots = (source, folder) if source.is_dir() else (folder,)
        return [
            attrs.evolve(_target(name, value), path=roots, project=project)
            for name, value in sorted(project.entry_points.items())
        ]
    if (folder / "__init__.py").is_file():
        return [Target(folder.name, folder.name, path=(folder.parent,))]
    raise NoKit(
        f"{folder} holds no kit: there is neither a pyproject.toml nor an __init__.py",
        hint="oneiric new plugin NAME makes one",
    )


def _is_module(name: str, beside: Path) -> bool:
    top = name.partition(".")[0]
    if not all(part.isidentifier() for part in name.split(".")):
        return False
    if (beside / f"{top}.py").is_file() or (beside / top).is_dir():
        return True
    try:
        return importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return False
