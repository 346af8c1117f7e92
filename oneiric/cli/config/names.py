"""``oneiric config env``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import attrs
import click

from oneiric.cli.context import Context

from .common import plugged

if TYPE_CHECKING:
    from oneiric.settings import Settings

_LIMITS = (
    "No plugin but the built-in ones was imported. Of others, it has what is written in a\n"
    "file; all their settings are in what oneiric config schema gives."
)


@click.command("env")
@click.pass_obj
def env(context: Context) -> None:
    """List the variables that set something.

    It imports no installed plugin, nor one of the application.
    """
    from oneiric.assembly import assemble
    from oneiric.settings.binding import Catalogue
    from oneiric.settings.environment import PLAIN
    from oneiric.settings.plain import path_text
    from oneiric.settings.schema import plain
    from oneiric.settings.sections import FIXED
    from oneiric.settings.variables import known

    settings = context.load(examine=True)
    written = {name: plain(getattr(settings, name)) for name in FIXED} | dict(settings.tables)
    with context.quiet():
        runtime = assemble(_built_in_only(settings), environment=False, strict=False)
        domains, candidates, _ = plugged(runtime)
        there = list(known(Catalogue.of(domains, candidates), written))
        runtime.hooks.close()
    rows: list[dict[str, Any]] = [
        {"name": name, "sets": None, "takes": about} for name, about in PLAIN.items()
    ]
    rows += [{"name": each.name, "sets": path_text(each.path), "takes": each.takes} for each in there]
    for row in rows:
        row["set"] = row["name"] in os.environ

    def human(_: Any) -> str:
        head = ["VARIABLE", "TAKES", "SET"]
        table = context.table(
            head, [[row["name"], row["takes"], "yes" if row["set"] else ""] for row in rows], whole=True
        )
        return f"{table}\n\n{_LIMITS}"

    context.show({"variables": rows, "complete": False}, "oneiric/config-env/1", human)


def _built_in_only(settings: Settings) -> Settings:
    bare = settings.without_domains()
    return attrs.evolve(
        bare,
        app=attrs.evolve(bare.app, plugins=()),
        plugins=attrs.evolve(bare.plugins, auto_load=False, off=(), only=None),
    )
