"""What is said of a file that is no state store of this version."""

from __future__ import annotations

from pathlib import Path

from oneiric_hookspecs import StateError

from oneiric.plugins._telling import choose


def of_something_else(path: Path) -> StateError:
    """It is no store of ours, and is not touched."""
    return StateError("it is no state store, but something else", where=str(path), hint=choose("[state] url"))


def too_new(path: Path, version: int, known: int) -> StateError:
    """A later version of Oneiric has written it."""
    return StateError(
        f"a later version has written it (schema {version}; this one knows up to {known})",
        where=str(path),
        hint="upgrade oneiric, or name another file: [state] url",
    )
