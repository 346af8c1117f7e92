"""The keys that a stream's settings name: a file on this machine, or in a package that is installed here."""

from __future__ import annotations

import os
import re
from pathlib import Path

from oneiric_hookspecs import Problem, SettingsError

from .disk import Disk

#: Bytes of a keyring, at most.
LIMIT = 16 * 1024
_IN_PACKAGE = re.compile(r"package:([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)/([^/].*)", re.ASCII)


def anchor_path(keyring: str, folder: Path) -> Path:
    """Where the file is that ``[remote.NAME] keyring`` names.

    Args:
        keyring: A path, or ``package:NAME/FILE``.
        folder: What a relative path is relative to.
    Raises:
        LookupError: There is no such package, or the file would not be in it.
    """
    named = _IN_PACKAGE.fullmatch(keyring)
    if named is None:
        if keyring.startswith("package:"):
            raise LookupError("expected package:NAME/FILE")
        path = Path(keyring).expanduser()
        return path if path.is_absolute() else folder / path
    from importlib.util import find_spec  # finds a top-level package without importing it

    try:
        spec = find_spec(named[1])
    except (ImportError, ValueError):
        spec = None
    places = None if spec is None else spec.submodule_search_locations
    if not places:
        raise LookupError(f"there is no package {named[1]}")
    if ".." in Path(named[2]).parts:
        raise LookupError("the file of a package is in it")
    return Path(next(iter(places))) / named[2]


def glance(keyring: str, folder: Path) -> tuple[int, int, int] | None:
    """Another one whenever that file was written; None where one look does not tell: in a package, or nowhere."""
    if keyring.startswith(("package:", "~")):
        return None
    try:
        found = os.stat(os.path.join(folder, keyring))  # noqa: PTH116, PTH118 - at every poll
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def read_anchor(keyring: str, folder: Path, *, stream: str, where: str | None = None) -> bytes:
    """The bytes of that file.

    Raises:
        SettingsError: It cannot be read: without keys nothing is believed.
    """
    path: Path | None = None
    try:
        path = anchor_path(keyring, folder)
        data = Disk().read(path.resolve(), LIMIT)
        said = f"there is no file {path}" if data is None else ""
    except LookupError as error:
        data, said = None, str(error)
    except (OSError, RuntimeError) as error:
        data, said = None, f"{path}: {getattr(error, 'strerror', None) or error}"
    if data is None:
        raise SettingsError(
            [
                Problem(
                    f"remote.{stream}.keyring",
                    said,
                    where,
                    "it comes from whoever publishes, on a way you trust",
                )
            ]
        )
    return data
