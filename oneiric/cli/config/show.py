"""``oneiric config show``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from oneiric.cli.context import Context

from .common import as_json, as_toml, near, plugged

if TYPE_CHECKING:
    from oneiric.settings.effective import Effective

_CODE = "given in code"


@click.command("show")
@click.option("--origin", is_flag=True, help="Who set each, and what that overrode.")
@click.argument("path", required=False, metavar="[PATH]")
@click.pass_obj
def show(context: Context, origin: bool, path: str | None) -> None:
    """Show the settings in force, all or those below PATH.

    Of defaults, files, profile, environment and options, as one.  Secrets show as ***.
    """
    from oneiric.settings.effective import effective
    from oneiric.settings.plain import path_text

    with context.assembled() as runtime:
        settings = runtime.settings
        found = {path_text(each.path): each for each in effective(settings, *plugged(runtime))}
        shown = {name: each for name, each in found.items() if path is None or _below(each, name, path)}
    if not shown:
        from oneiric_hookspecs import nearest

        from oneiric.cli.naming import NoSuch

        tables = {
            path_text(each.path[:length])
            for each in found.values()
            for length in range(1, len(each.path) + 1)
        }
        some = (
            sorted(tables) if nearest(path or "", tables) else {str(each.path[0]) for each in found.values()}
        )
        raise NoSuch("setting", path or "", some)

    def human(_: Any) -> str:
        lines = [_line(name, each) + (f"  # {_said(each)}" if origin else "") for name, each in shown.items()]
        return "\n".join(lines)

    value = {"profile": settings.profile, "settings": [_plain(name, each) for name, each in shown.items()]}
    context.show(value, "oneiric/config-show/1", human, page=True)


def _below(each: Effective, name: str, path: str) -> bool:
    """Whether *path* is the setting, or a table it is in; quotes may be left out."""
    return any(f"{text}.".startswith(f"{path}.") for text in (name, ".".join(map(str, each.path))))


def _line(name: str, each: Effective) -> str:
    return f"# {name} is not set" if each.value is None else f"{name} = {as_toml(each.value)}"


def _said(each: Effective) -> str:
    """Who set it, and what that overrode."""
    if not each.set:
        return "default"
    over = [f"{near(one.where) or _CODE}: {as_toml(one.value)}" for one in each.over]
    return (near(each.where) or _CODE) + (f", over {', '.join(over)}" if over else "")


def _plain(name: str, each: Effective) -> dict[str, Any]:
    return {
        "path": name,
        "value": as_json(each.value),
        "default": not each.set,
        "where": each.where,
        "over": [{"where": one.where, "value": as_json(one.value)} for one in each.over],
    }
