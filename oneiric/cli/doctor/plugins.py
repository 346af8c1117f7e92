"""Checks of plugins: those that fail, those that are taken for others, and what the lint says."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from oneiric_hookspecs import SettingsError

from oneiric.cli import COMMANDS, kits
from oneiric.cli.failures import Failure
from oneiric.cli.pasteable import pasteable

from .checking import Trouble, check
from .patient import Patient

#: Milliseconds that loading a plugin may take.
SLOW = 300
_AUTHOR = "tell its author"


@check(
    "plugin-crashes",
    "fail",
    mends="`oneiric plugins off NAME`; where it is not known which, `oneiric bisect`",
)
def plugin_crashes(patient: Patient) -> Iterator[Trouble]:
    """An import ends the whole process, or never comes back."""
    for each in patient.crashes:
        distribution, _, name = each.plugin.rpartition(":")
        if name:
            of = f" of {distribution}" if distribution else ""
            yield Trouble(
                f"importing the plugin {name}{of} {each.how}; it was left out here",
                command=pasteable(patient.context, "plugins", "off", name),
            )
        else:
            yield Trouble(
                f"assembling a runtime {each.how}; no plugin was loaded here",
                command=f"oneiric bisect --timeout {patient.timeout:g} -- {pasteable(patient.context, 'list')}",
            )


@check(
    "plugin-failed",
    "fail",
    mends="`pip install X` where an import names something that is not installed; else `oneiric plugins off NAME`",
)
def plugin_failed(patient: Patient) -> Iterator[Trouble]:
    """A plugin that is on does not load, is refused by the lint, or declares what cannot be registered."""
    seen: set[str] = set()
    for record in patient.records:
        twice = record.name in seen
        seen.add(record.name)
        if record.state != "failed" or twice:
            continue
        failure = Failure.of(record)
        said = f"the plugin {record.name}{_of(record)} failed: {failure.what}"
        hint = " ".join(failure.hint.split()) or None
        if isinstance(getattr(record.error, "__cause__", None), SettingsError):
            yield Trouble(said, failure.where or None, edit=hint or "set it right there")
        else:
            yield Trouble(said, failure.where or None, _install(record) or _switch_off(patient, record), hint)


def _install(record: Any) -> str | None:
    """The command that installs what an import of it misses; None where that is not it."""
    error = record.error
    while error is not None and not isinstance(error, ModuleNotFoundError):
        error = error.__cause__
    top = ((error.name if error is not None else "") or "").partition(".")[0]
    if not top or top in sys.stdlib_module_names or _is_there(top):
        return None
    return f"pip install {_requirement(record, top)}"


def _requirement(record: Any, module: str) -> str:
    """What the plugin's distribution requires that sounds like *module*; else its name."""
    from importlib import metadata

    from oneiric.installed import alike

    try:
        lines = metadata.requires(record.distribution) if record.distribution else None
    except metadata.PackageNotFoundError:
        lines = None
    for line in lines or ():
        found = re.match(r"[\w.-]+", line)
        if found is not None and alike(found[0]) in {alike(module), f"python-{alike(module)}"}:
            return f"'{line.partition(';')[0].strip()}'"
    return module


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _of(record: Any) -> str:
    return f" of {record.distribution} {record.version or ''}".rstrip() if record.distribution else ""


def _switch_off(patient: Patient, record: Any) -> str | None:
    if record.protected or record.origin == "builtin":
        return None
    return pasteable(patient.context, "plugins", "off", record.name)


@check("plugin-twice", "fail", mends="`oneiric plugins off DISTRIBUTION`, of the one that is not wanted")
def plugin_twice(patient: Patient) -> Iterator[Trouble]:
    """Two plugins have one name, and only the first is asked."""
    first: dict[str, Any] = {}
    for record in patient.records:
        other = first.setdefault(record.name, record)
        if other is record or record.state != "failed":
            continue
        which = record.distribution or record.name
        yield Trouble(
            f"two plugins are named {record.name}:{_of(other) or ' one of the application'}, "
            f"and{_of(record) or ' one of the application'}, which is not asked",
            record.where,
            pasteable(patient.context, "plugins", "off", which),
        )


@check("plugin-lint", "warn", mends="the edit that is shown, at the place that is shown")
def plugin_lint(patient: Patient) -> Iterator[Trouble]:
    """A plugin that is on has a slip that fails nothing: a hook without its mark, an argument that is never filled."""
    yield from _findings(patient, "W")


@check("plugin-deprecated", "warn", mends="what is named as its replacement, before it is gone")
def plugin_deprecated(patient: Patient) -> Iterator[Trouble]:
    """A plugin implements a hook, or takes an argument, that is deprecated; since when, until when, what instead."""
    yield from _findings(patient, "D")


def _findings(patient: Patient, letter: str) -> Iterator[Trouble]:
    for record in patient.records:
        for each in record.findings if record.state == "on" else ():
            if str(each.code).startswith(letter):
                said = f"the plugin {record.name}{_of(record)}: {each.code} {each.message}"
                yield Trouble(said, each.where, edit=" ".join((each.hint or _AUTHOR).split()))


@check("plugin-slow", "warn", mends="import heavy libraries inside functions; or `oneiric plugins off NAME`")
def plugin_slow(patient: Patient) -> Iterator[Trouble]:
    """Loading a plugin takes more than 300 ms of every start."""
    for record in patient.records:
        if record.load_ms > SLOW and record.origin != "builtin":
            module = record.target.partition(":")[0] or record.name
            yield Trouble(
                f"loading the plugin {record.name}{_of(record)} takes {record.load_ms:.0f} ms of every start",
                record.where,
                f"{Path(sys.executable).name} -X importtime -c 'import {module}'",
                "import heavy libraries inside the functions that need them",
            )


@check("plugin-hidden", "warn", mends="rename the module, or what hides it")
def plugin_hidden(patient: Patient) -> Iterator[Trouble]:
    """A module of ``[app] plugins`` lies beside the settings file, and something that is installed hides it."""
    file = patient.settings.file
    folder = Path.cwd() if file is None else file.parent
    for number, target in enumerate(patient.settings.app.plugins):
        top = re.split(r"[.:]", target)[0]
        mine = next(
            (path for path in (folder / f"{top}.py", folder / top / "__init__.py") if path.is_file()), None
        )
        found = _origin(top)
        if mine is not None and found is not None and found.resolve() != mine.resolve():
            yield Trouble(
                f"the module {top} that lies beside the settings is hidden by {found}",
                patient.settings.where("app", "plugins", number),
                edit=f"rename {mine}, and what [app] plugins says",
            )


def _origin(module: str) -> Path | None:
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec is not None and spec.origin and spec.has_location else None


@check("command-twice", "fail", mends="`pip uninstall DISTRIBUTION`, of the one that is not wanted")
def command_twice(patient: Patient) -> Iterator[Trouble]:
    """Two distributions bring one word of the command line, which then works for neither; or one that is taken."""
    for word, who in sorted(kits.words().items()):
        if word in COMMANDS:
            for each in who:
                yield Trouble(
                    f"the command {word} of {each.distribution} {each.version} can never be typed: it is built in",
                    each.target,
                    edit=f"another word for it, by the author of {each.distribution}",
                    severity="warn",
                )
        elif len(who) > 1:
            names = " and ".join(f"{each.distribution} {each.version}".strip() for each in who)
            yield Trouble(
                f"the command {word} is brought by {names}, and works for neither",
                command=f"pip uninstall {who[-1].distribution}",
            )
