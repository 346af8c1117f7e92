"""``oneiric config path``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from oneiric.cli.context import Context

from .common import problem


@click.command("path")
@click.pass_obj
def path(context: Context) -> None:
    """Say which files are read, and where the state is.

    It imports no plugin, and works with files that are not valid.
    """
    from oneiric_hookspecs import SettingsError

    from oneiric.settings import profiles
    from oneiric.settings.sources import configured

    given = tuple(map(Path, context.options.config))
    found = configured(os.environ)
    considered = given or found.considered
    named_by = "--config" if given else found.named_by
    state: str | None = None
    why: str | None = None
    problems: list[dict[str, Any]] = []
    profile: str | None = None
    known: list[str] = []
    files = given or found.files
    try:
        settings = context.load(examine=True)
    except SettingsError as error:
        problems = [problem(each) for each in error.problems]
        why = "a file cannot be read"
    else:
        problems = [problem(each) for each in settings.problems]
        profile = settings.profile
        known = profiles.names([each for each in settings.origin.layers if each.kind == "file"])
        state, why = _state(settings)
    value: dict[str, Any] = {
        "files": [str(each) for each in files],
        "considered": [{"file": str(each), "there": os.path.lexists(each)} for each in considered],
        "named_by": named_by,
        "profile": profile,
        "profiles": known,
        "state": state,
        "problems": problems,
    }

    def human(_: Any) -> str:
        looked = [
            f"{each['file']} ({'there' if each['there'] else 'not there'})" for each in value["considered"]
        ]
        text = context.facts(
            {
                "settings": ", ".join(value["files"]) or "none: the defaults",
                "named by": named_by or "",
                "looked for": ", ".join(looked) if named_by is None else "",
                "profile": profile or "",
                "profiles": ", ".join(known),
                "state": state or f"not known: {why}",
            }
        )
        more = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}; see oneiric config check"
        return f"{text}\n{more}" if problems else text

    context.show(value, "oneiric/config-path/1", human)


def _state(settings: Any) -> tuple[str | None, str | None]:
    """The state directory, or why it is not known."""
    from oneiric_hookspecs import StateError

    from oneiric.settings.places import state_folder

    if any(each.path.partition(".")[0] == "app" for each in settings.problems):
        return None, "[app] is not valid"
    try:
        return str(state_folder(settings)), None
    except StateError as error:
        return None, error.message
