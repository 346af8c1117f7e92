"""``oneiric new``: folders to begin with."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from oneiric.cli.context import Context
from oneiric.cli.group import Group

WOULD_WRITE = 10


@click.group("new", cls=Group)
def command() -> None:
    """Write a plugin or an application to begin with."""


_path = click.option(
    "--path",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The folder to make; it must not be there yet.",
)
_dry_run = click.option(
    "--dry-run", is_flag=True, help="Write nothing; say what would be written, and exit with 10."
)


@command.command("plugin")
@click.argument("name")
@click.option("--domain", default="adapter", show_default=True, help="The kind of part it provides.")
@click.option("--key", metavar="KEY", help="The part it provides; else NAME.")
@_path
@_dry_run
@click.pass_context
def plugin(
    ctx: click.Context, name: str, domain: str, key: str | None, path: Path | None, dry_run: bool
) -> None:
    """Write a plugin, to be installed.

    It has a provider with settings, and tests.  NAME is the plugin's, such as hello: the folder and the distribution
    are oneiric-hello, the package oneiric_hello.
    """
    from .plugin import plugin as make

    names, files = make(name, domain, key)
    commands = ["pip install -e '.[test]'", "pytest"]
    _answer(ctx, "plugin", names.name, path or Path(names.distribution), files, commands, dry_run=dry_run)


@command.command("app")
@click.argument("name")
@_path
@_dry_run
@click.pass_context
def app(ctx: click.Context, name: str, path: Path | None, dry_run: bool) -> None:
    """Write an application, with a plugin of its own.

    It has settings, and a program that embeds a runtime.  NAME is the folder's, and that of the plugin's module.
    """
    from .app import app as make

    names, files = make(name)
    commands = ["oneiric list", "python main.py"]
    _answer(ctx, "app", names.name, path or Path(names.name), files, commands, dry_run=dry_run)


def _answer(
    ctx: click.Context,
    kind: str,
    name: str,
    folder: Path,
    files: dict[str, str],
    commands: list[str],
    *,
    dry_run: bool,
) -> None:
    from .folder import check, write

    context: Context = ctx.obj
    if dry_run:
        check(folder)
    else:
        write(folder, files)
    value = {
        "kind": kind,
        "name": name,
        "folder": str(folder),
        "files": sorted(files),
        "next": [*([] if folder.absolute() == Path.cwd() else [f"cd {shlex.quote(str(folder))}"]), *commands],
        "written": not dry_run,
    }
    context.show(value, "oneiric/new/1", _said)
    if dry_run:
        ctx.exit(WOULD_WRITE)


def _said(value: dict[str, Any]) -> str:
    lines = [f"{'wrote' if value['written'] else 'would write'} {value['folder']}"]
    lines += [f"  {name}" for name in value["files"]]
    if value["written"]:
        lines += ["next:", *(f"  {line}" for line in value["next"])]
    return "\n".join(lines)
