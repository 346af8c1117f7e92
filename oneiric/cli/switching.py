"""``oneiric plugins off`` and ``on``: they import no plugin of anybody's, so that they work when one is broken."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from inspect import isclass
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from oneiric_hookspecs import OneiricError

from .context import Context, find_beside
from .naming import NoSuch

if TYPE_CHECKING:
    from oneiric.hooks.switched import Switch, SwitchFile
    from oneiric.settings import Settings


class StillOff(OneiricError):
    """Something else keeps a plugin off, which this command does not change."""

    exit_code = 4


class Known(NamedTuple):
    """A plugin as it is known without importing it.

    Args:
        name: Of the plugin, which is its entry point's.
        distribution: What brings it; empty where nothing does.
        version: Of that distribution.
        group: The group of entry points it is read from; empty where it is none.
        kind: ``builtin``, ``installed`` or ``application``.
    """

    name: str
    distribution: str = ""
    version: str = ""
    group: str = ""
    kind: str = "installed"

    def __str__(self) -> str:
        brought = f" of {self.distribution} {self.version}".rstrip() if self.distribution else ""
        return f"{self.name}{brought}"


_NAMES = click.argument("names", nargs=-1, required=True, metavar="NAME...")


@click.command("off")
@_NAMES
@click.option("--force", is_flag=True, help="Also what is not installed here, or not yet.")
@click.pass_obj
def off(context: Context, names: tuple[str, ...], force: bool) -> None:
    """Leave plugins out from the next start on, by name, entry point or distribution.

    Imports none of them: it works for one that is broken.  The settings file is not touched; what is switched off
    stands in plugins.toml in the state directory.
    """
    from oneiric.assembly import BUILTINS
    from oneiric.hooks.switching import AlwaysOn
    from oneiric.installed import alike

    settings, file = _application(context)
    known = _known(context, settings)
    guards = {alike(name): name for name, always in BUILTINS.items() if always}
    for name in names:
        if alike(name) in guards:
            raise AlwaysOn(guards[alike(name)])
        if not force and not _meant(name, known):
            raise _unknown(name, known, "--force switches off what is installed later")
    new = {alike(switch.name) for switch in file.off(names, actor(), datetime.now(UTC))}
    there = file.read()
    found = [
        {
            **_row(name, there.get(alike(name)), known),
            "changed": alike(name) in new,
            "declares": _declares(_meant(name, known)),
        }
        for name in dict.fromkeys(names)
    ]

    def human(_: Any) -> str:
        return "\n".join(line for each in found for line in _switched_off(each))

    context.show({"plugins": found, "file": str(file.file)}, "oneiric/plugins.off/1", human)


@click.command("on")
@_NAMES
@click.pass_obj
def on(context: Context, names: tuple[str, ...]) -> None:
    """Take back `oneiric plugins off`.

    What the settings or an option switch off stays off: that is said, and the exit code is 4.
    """
    from oneiric.installed import alike

    settings, file = _application(context)
    known, before = _known(context, settings), file.read()
    for name in names:
        if alike(name) not in before and not _meant(name, known):
            raise _unknown(name, known, "see oneiric plugins")
    # A distribution is on when all of its plugins are.
    wanted = [
        each
        for name in names
        for each in (name, *(one.name for one in known if alike(one.distribution) == alike(name)))
    ]
    gone = {alike(switch.name): switch for switch in file.on(wanted)}
    found = [
        {**_row(name, None, known), "changed": bool(_names_of(name, known) & gone.keys()), "state": "on"}
        for name in dict.fromkeys(names)
    ]
    _refuse_still_off(names, settings, known, file)

    def human(_: Any) -> str:
        return "\n".join(
            f"{each['name']} is on from the next start on"
            if each["changed"]
            else f"{each['name']} was not switched off"
            for each in found
        )

    context.show({"plugins": found, "file": str(file.file)}, "oneiric/plugins.on/1", human)


def actor() -> str:
    """Who gives the command: user@host."""
    import getpass
    import platform

    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container may run as a number that nobody has
        user = str(os.getuid())
    return f"{user}@{platform.node()}" if platform.node() else user


# --- what there is ---------------------------------------------------------------------------------------------------


def _application(context: Context) -> tuple[Settings, SwitchFile]:
    from oneiric.hooks.switching import operators
    from oneiric.settings.places import identity, settings_folder

    settings, problems = identity([*context.options.config] or None, profile=context.options.profile)
    find_beside(settings_folder(settings.file))  # where other commands find kits, too
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        context.warn(f"the settings are not valid: {problems[0]}{more}")
    return settings, operators(settings)


def _known(context: Context, settings: Settings) -> list[Known]:
    from oneiric.assembly import BUILTINS, GROUP
    from oneiric.installed import installed

    found = [Known(name, kind="builtin") for name in BUILTINS]
    for group in dict.fromkeys((GROUP, *settings.plugins.entry_points)):
        found += [Known(e.name, e.distribution, e.version, group) for e in installed(group)]
    named = (*settings.app.plugins, *context.options.plugins)
    return found + [Known(name, kind="application") for name in named]


def _meant(name: str, known: Sequence[Known]) -> list[Known]:
    from oneiric.installed import alike

    wanted = alike(name)
    return [each for each in known if wanted in (alike(each.name), alike(each.distribution) or None)]


def _names_of(name: str, known: Sequence[Known]) -> set[str]:
    """*name*, and where it is a distribution's, those of its plugins; comparable."""
    from oneiric.installed import alike

    inside = {alike(one.name) for one in known if alike(one.distribution) == alike(name)}
    return {alike(name), *inside}


def _unknown(name: str, known: Sequence[Known], hint: str) -> NoSuch:
    names = dict.fromkeys(text for each in known for text in (each.name, each.distribution) if text)
    error = NoSuch("plugin", name, names)
    error.hint = f"{error.hint}\n  {hint}"
    return error


def _declares(meant: Sequence[Known]) -> list[str] | None:
    """What built-in plugins declare, and which other hooks they implement; None where others are meant, too."""
    if any(each.kind != "builtin" for each in meant) or not meant:
        return None
    from oneiric.assembly import builtin
    from oneiric.hooks.lint import scan

    found: list[str] = []
    for each in meant:
        plugin = builtin(each.name)
        for hook in scan(plugin, "oneiric"):
            # A class would have to be made to be asked, and wants a runtime for that.
            said = None if isclass(plugin) else _DECLARED.get(hook.hook)
            found += [said(one) for one in hook.function()] if said else [hook.hook]
    return found


_DECLARED: Mapping[str, Callable[[Any], str]] = {
    "oneiric_domains": lambda domain: f"domain {domain.name}",
    "oneiric_candidates": lambda candidate: f"{candidate.key} {candidate.provider}",
    "oneiric_actions": lambda action: f"action {action.name}",
}


def _refuse_still_off(
    names: Sequence[str], settings: Settings, known: Sequence[Known], file: SwitchFile
) -> None:
    """Say what else keeps one of *names* off.

    Raises:
        StillOff: Something does.
    """
    from oneiric.hooks.switching import who
    from oneiric.installed import alike

    said = {
        alike(name): who("[plugins] off", settings.where("plugins", "off", number))
        for number, name in enumerate(settings.plugins.off)
    }
    left = file.read()
    for name in names:
        for text in {alike(name): None} | {alike(one.distribution): None for one in _meant(name, known)}:
            if text in said:
                raise StillOff(f"{name} stays off: {said[text]}", hint="nobody but you changes your settings")
            if text in left:
                switch = left[text].name
                raise StillOff(
                    f"{name} stays off: {switch} is, which brings it",
                    hint=f"oneiric plugins on {switch}",
                )


# --- what is said ----------------------------------------------------------------------------------------------------


def _row(name: str, switch: Switch | None, known: Sequence[Known]) -> dict[str, Any]:
    return {
        "name": name,
        "state": "off",
        "by": None if switch is None else switch.by,
        "at": None if switch is None else switch.at.isoformat(),
        "plugins": [
            {
                "name": each.name,
                "origin": each.kind,
                "distribution": each.distribution or None,
                "version": each.version or None,
                "group": each.group or None,
            }
            for each in _meant(name, known)
        ],
    }


def _switched_off(each: dict[str, Any]) -> list[str]:
    if not each["changed"]:
        return [f"{each['name']} is off already: {each['by']}, {each['at'][:16].replace('T', ' ')} UTC"]
    lines = [f"{each['name']} is off from the next start on"]
    if not each["plugins"]:
        return [*lines, "  no such plugin is installed here"]
    lines += [
        f"  {one['name']} of {one['distribution']} {one['version'] or ''}".rstrip()
        for one in each["plugins"]
        if one["distribution"]
    ]
    if each["declares"] is None:
        return [*lines, "  what it brings is not known without importing it"]
    return [*lines, f"  it brings: {', '.join(each['declares']) or 'nothing'}"]
