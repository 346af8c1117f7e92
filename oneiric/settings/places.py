"""Where an application keeps its state on this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from oneiric_hookspecs import Problem, SettingsError

from .sources import read

if TYPE_CHECKING:
    from .loading import SettingsSource
    from .model import Settings

STATE_DIR = "ONEIRIC_STATE_DIR"


def state_folder(settings: Settings) -> Path:
    """The state directory of the application that *settings* describe; nothing is made, nor looked at, there.

    It is ``ONEIRIC_STATE_DIR`` or ``[app] state_dir``, else the platform's place for a user's state, and in it
    ``oneiric/NAME-HASH``: the name of the application and a hash of the folder its settings are in (of the working
    directory where no file was read), so that two projects on one machine never share one.

    Raises:
        SettingsError: The user has no home directory, and nobody said where else.
    """
    return folder_for(settings.app.name, settings.app.state_dir, settings_folder(settings.file))


def settings_folder(file: Path | None) -> Path:
    """The folder that *file* of settings is in; the working directory where there is none."""
    if file is not None:
        return file.absolute().parent
    try:
        return Path.cwd()
    except OSError:
        # The working directory has been removed under us: nothing can be in it, and whatever is written goes elsewhere.
        return Path(os.sep)


def folder_for(name: str, state_dir: Path | None, folder: Path) -> Path:
    """The state directory of an application.

    Args:
        name: ``[app] name``.
        state_dir: ``[app] state_dir``, which ``ONEIRIC_STATE_DIR`` has overridden where it is set.
        folder: Where its settings are; what a relative *state_dir* is relative to.
    Raises:
        SettingsError: As ``state_folder``.
    """
    if state_dir is not None:
        return folder / state_dir.expanduser() if str(state_dir).startswith("~") else folder / state_dir
    import zlib  # where hashlib would load openssl at the start of every command

    from platformdirs import user_state_path

    try:
        users = user_state_path("oneiric", appauthor=False)
    except RuntimeError:  # of platformdirs 4.10 and newer; older ones give the path with its ~
        users = Path("~")
    if not users.is_absolute():
        message = "there is no place for the state of the application: this user has no home directory"
        raise SettingsError(
            [Problem("app.state_dir", message, None, "set it, or ONEIRIC_STATE_DIR, to a directory")]
        )
    return users / f"{name}-{zlib.crc32(os.fsencode(os.path.realpath(folder))):08x}"


def identity(
    source: SettingsSource = None, *, profile: str | None = None, environ: Mapping[str, str] | None = None
) -> tuple[Settings, tuple[Problem, ...]]:
    """Settings that say which application this is, whatever else is wrong with them; and what is wrong.

    For commands that mend something: they are to work where others do not.

    Raises:
        SettingsError: Not even that can be told from them.
    """
    from .loading import examine
    from .model import Settings

    environ = os.environ if environ is None else environ
    try:
        settings = examine(source, environ=environ, profile=profile)
        problems = settings.problems
    except SettingsError as error:
        if not environ.get(STATE_DIR):
            raise _nobody_knows(error.problems) from error
        settings, problems = Settings(), error.problems
    doubtful = [each for each in problems if not each.path or _APP.search(each.path)]
    if not doubtful:
        return settings, problems
    if environ.get(STATE_DIR):
        here = Path(environ[STATE_DIR]).absolute()
        return attrs.evolve(settings, app=attrs.evolve(settings.app, state_dir=here)), problems
    if any(not each.path for each in doubtful):
        raise _nobody_knows(doubtful)
    # A section that is wrong somewhere is left out whole: look at these two alone.
    table: dict[str, Any] = {}
    for file in settings.files:
        written = read(file)[0].get("app")
        table |= (
            {name: written[name] for name in _WHICH if name in written}
            if isinstance(written, Mapping)
            else {}
        )
    alone = examine({"app": table}, environ={name: environ[name] for name in _VARIABLES if name in environ})
    if alone.problems:
        raise _nobody_knows(doubtful)
    return attrs.evolve(settings, app=alone.app), problems


#: What of ``[app]`` tells which application it is.
_WHICH = ("name", "state_dir")
_VARIABLES = ("ONEIRIC__APP__NAME", "ONEIRIC__APP__STATE_DIR")
_APP = re.compile(r"^(?:profile\.[^.]+\.)?app\b|^ONEIRIC__APP\b", re.IGNORECASE)


def _nobody_knows(problems: Iterable[Problem]) -> SettingsError:
    hint = f"mend it, or set {STATE_DIR}; till then nobody knows which application this is"
    return SettingsError([attrs.evolve(each, hint=hint) for each in problems])
