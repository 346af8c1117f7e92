"""Checks of the state: the store that is chosen, what lies about there, and whether it can be written."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from oneiric_hookspecs import OneiricError, specs

from .checking import Severity, Trouble, check
from .patient import Patient

_SEVERITY: dict[str, Severity] = {"error": "fail", "warning": "warn"}


@check("state-directory", "fail", mends="`mkdir -p`, `chmod u+rwx`; or ONEIRIC_STATE_DIR")
def state_directory(patient: Patient) -> Iterator[Trouble]:
    """The state directory cannot be made, or not be written."""
    from oneiric.settings.places import state_folder

    try:
        folder = state_folder(patient.settings)
    except OneiricError as error:
        yield Trouble(error.message, error.where, edit=error.hint)
        return
    there = folder
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    where = patient.settings.where("app", "state_dir") or str(folder)
    elsewhere = "or set ONEIRIC_STATE_DIR, or [app] state_dir, to a directory of your own"
    quoted = shlex.quote(str(there))
    if not there.is_dir():
        kind = "is a file" if there.exists() else "is a link to nothing"
        what = (
            "the state directory" if there == folder else f"what the state directory {folder} would be below,"
        )
        yield Trouble(
            f"{what} {there} {kind}" if there != folder else f"{what} {folder} {kind}",
            where,
            f"mv {quoted} {shlex.quote(f'{there}.aside')}",
            elsewhere,
        )
    elif not os.access(there, os.W_OK | os.X_OK) or (there == folder and not os.access(there, os.R_OK)):
        yield Trouble(
            f"the state directory {folder} cannot be {'written' if there == folder else 'made'}",
            where,
            f"chmod u+rwx {quoted}" if _is_mine(there) and not _is_read_only(there) else None,
            elsewhere,
        )


def _is_mine(folder: Path) -> bool:
    return folder.stat().st_uid == os.geteuid()


def _is_read_only(folder: Path) -> bool:
    """Whether its file system is, which no mode of a folder changes."""
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


@check(
    "state-store", "fail", mends="as is said: another `[state] url`, a newer Oneiric, or room and permission"
)
def state_store(patient: Patient) -> Iterator[Trouble]:
    """The store of the state is damaged, of another version or somebody else's; or what was set aside lies about."""
    from oneiric.state.checking import check as look

    runtime = patient.runtime
    for found in look(patient.settings, runtime.hooks[specs.oneiric_stores].answers()):
        if found.level == "note":
            continue
        command = None
        if found.where and ".corrupt-" in found.where and os.path.isfile(found.where):  # noqa: PTH113 - a text
            command = f"rm {shlex.quote(found.where)}"
        yield Trouble(found.message, found.where, command, found.hint, _SEVERITY[found.level])
