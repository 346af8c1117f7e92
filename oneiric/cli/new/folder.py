"""Writing a new folder: whole, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template

from oneiric_hookspecs import OneiricError


class Refused(OneiricError):
    """The folder cannot be made; nothing was written."""

    exit_code = 4


def render(template: str, values: Mapping[str, str]) -> str:
    """A template of this package, with each ``$name`` replaced."""
    text = (files(__package__) / "templates" / f"{template}.txt").read_text("utf-8")
    return Template(text).substitute(values)


def check(folder: Path) -> None:
    """See whether *folder* can be made, or filled if it is there and empty.

    Raises:
        Refused: There is something already, or no place for it, or nobody may write there.
    """
    try:
        there = folder.is_dir() and not folder.is_symlink()
        if there and any(folder.iterdir()):
            raise Refused(f"{folder} is there, and not empty", hint="choose another folder with --path")
        if not there and os.path.lexists(folder):
            raise Refused(f"{folder} is there, and no folder", hint="choose another one with --path")
        room = folder if there else folder.absolute().parent
        if not room.is_dir():
            raise Refused(f"there is no folder {room}", hint="make it first")
    except OSError as error:
        raise Refused(f"cannot look at {folder}: {error.strerror}") from None
    if not os.access(room, os.W_OK | os.X_OK):
        raise Refused(f"cannot write in {room}: permission denied", hint="choose another folder with --path")


def write(folder: Path, contents: Mapping[str, str]) -> None:
    """Make *folder* with these files, by name; it appears with all of them, or not at all.

    Raises:
        Refused: As ``check``; or writing fails.
    """
    check(folder)
    target, there = folder.absolute(), folder.is_dir()
    made: Path | None = None
    try:
        # Beside it, so that the last step is a rename, which is done or not done.  A folder that is there is somebody's
        # working directory as often as not, and stays the same one.
        made = Path(tempfile.mkdtemp(prefix=".oneiric-new-", dir=target if there else target.parent))
        for name, text in contents.items():
            file = made / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        if there:
            _move(made, target)
        else:
            made.chmod(0o777 & ~_umask())
            made.rename(target)
    except OSError as error:
        raise Refused(f"cannot write {folder}: {error.strerror}", hint="nothing was written") from None
    finally:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)


def _move(made: Path, target: Path) -> None:
    """Move everything in *made* to *target*, or nothing."""
    moved: list[str] = []
    try:
        for name in sorted(each.name for each in made.iterdir()):
            (made / name).rename(target / name)
            moved.append(name)
    except BaseException:
        for name in moved:
            (target / name).rename(made / name)
        raise


def _umask() -> int:
    # There is no way to ask without setting it; a command has one thread.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
