"""Who switched what off: the settings, the command line, operators; and what nobody can."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from oneiric_hookspecs import PluginError, Problem, SettingsError

from oneiric.installed import alike
from oneiric.settings import Settings
from oneiric.settings.places import state_folder

from .switched import Switch, SwitchFile

STRICT = "ONEIRIC_STRICT"
#: ``DISTRIBUTION:NAME`` of entry points, by comma: what ``oneiric bisect`` leaves out in the processes that it starts.
BISECT = "ONEIRIC_BISECT_OFF"

_TRUE, _FALSE = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")


class AlwaysOn(PluginError):
    """A guard was to be switched off."""

    exit_code = 4

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is always on, and cannot be switched off", plugin=name)

    def __str__(self) -> str:
        return self.message


def all_switches(settings: Settings, given: Mapping[str, str], always: Iterable[str]) -> dict[str, str]:
    """Every name that is off, comparable, with all who say so.

    Args:
        settings: Their ``[plugins] off``, and the application whose ``plugins.toml`` is read.
        given: Names and who says so, from the command line or the application.
        always: Names of those that cannot be switched off.
    Raises:
        AlwaysOn: *given* names one of them.
        SettingsError: The settings, or ``plugins.toml``, do; or that file is damaged.
    """
    guards = {alike(name): name for name in always}
    said: dict[str, list[str]] = {}
    problems = []
    for number, name in enumerate(settings.plugins.off):
        where = settings.where("plugins", "off", number)
        if alike(name) in guards:
            if (where or "").startswith("-p"):
                raise AlwaysOn(guards[alike(name)])
            problems.append(_guarded("plugins.off", guards[alike(name)], where))
        said.setdefault(alike(name), []).append(who("[plugins] off", where))
    for name, by in given.items():
        if alike(name) in guards:
            raise AlwaysOn(guards[alike(name)])
        said.setdefault(alike(name), []).append(by)
    for name, switch in _by_operators(settings).items():
        if name in guards:
            problems.append(_guarded(f'off."{switch.name}"', guards[name], switch.where))
        said.setdefault(name, []).append(str(switch))
    for name in filter(None, os.environ.get(BISECT, "").split(",")):
        said.setdefault(alike(name), []).append(f"oneiric bisect ({BISECT})")
    if problems:
        raise SettingsError(problems)
    return {name: "; ".join(dict.fromkeys(by)) for name, by in said.items()}


def _by_operators(settings: Settings) -> Mapping[str, Switch]:
    try:
        file = operators(settings)
    except SettingsError:
        return {}  # where there is no place for state, nobody has switched anything off
    return file.read()


def operators(settings: Settings) -> SwitchFile:
    """The ``plugins.toml`` of the application that *settings* describe.

    Raises:
        SettingsError: Nobody knows where its state is.
    """
    return SwitchFile(state_folder(settings))


def who(what: str, where: str | None) -> str:
    """``[plugins] off (shop.toml:3)``; a variable or an option speaks for itself."""
    if where is None:
        return what
    return where if where.startswith(("ONEIRIC_", "-")) else f"{what} ({where})"


def strict_by_environment(environ: Mapping[str, str] | None = None) -> bool:
    """Whether ``ONEIRIC_STRICT`` says that a plugin that fails is an error.

    Raises:
        SettingsError: It says neither yes nor no.
    """
    text = (os.environ if environ is None else environ).get(STRICT, "").strip().lower()
    if text not in (*_TRUE, *_FALSE):
        message = f"expected 1, true, yes, on or 0, false, no, off, found {text!r}"
        raise SettingsError([Problem(STRICT, message)])
    return text in _TRUE


def _guarded(path: str, name: str, where: str | None) -> Problem:
    return Problem(path, f"{name} is always on, and cannot be switched off", where, "remove it there")
