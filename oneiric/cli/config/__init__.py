"""``oneiric config``."""

from __future__ import annotations

import click

from oneiric.cli.group import Group

from .check import check
from .document import schema
from .names import env
from .paths import path
from .show import show


@click.group("config", cls=Group)
def command() -> None:
    """Show the settings in force, check them, and say what there is to set."""


for each in (show, check, schema, env, path):
    command.add_command(each)

__all__ = ["command"]
