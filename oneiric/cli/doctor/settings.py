"""Checks of the settings: what is wrong with them, what nobody declares, secrets, and what operators switched off."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from oneiric_hookspecs import Problem, SecretError

from oneiric.cli.pasteable import pasteable

from .checking import Trouble, check
from .patient import Patient


@check(
    "settings-invalid",
    "fail",
    mends="the edit that is shown, at the line that is shown; `unset NAME` of a variable",
)
def settings_invalid(patient: Patient) -> Iterator[Trouble]:
    """The settings are not valid; everything that is wrong with them, at once."""
    for each in patient.problems:
        if each not in patient.damaged:
            yield _trouble(each)


@check("settings-refused", "fail", mends="as is said")
def settings_refused(patient: Patient) -> Iterator[Trouble]:
    """With these settings and options no runtime is assembled."""
    error = patient.refusal
    if error is not None:
        yield Trouble(error.message, error.where, edit=error.hint)


@check("settings-undeclared", "warn", mends="the edit that is shown; or the plugin that is off or failed")
def settings_undeclared(patient: Patient) -> Iterator[Trouble]:
    """Something is set that nobody declares, while a plugin is off or failed that might."""
    for each in _warnings(patient):
        if _is_variable(each) or _names_plugin(each) or _is_unfilled(each) or _is_lost(patient, each):
            continue
        yield _trouble(each)


@check(
    "settings-plugin-unknown",
    "warn",
    mends="the edit that is shown; `oneiric plugins on NAME` for plugins.toml",
)
def settings_plugin_unknown(patient: Patient) -> Iterator[Trouble]:
    """A plugin that is switched off or on is not there."""
    for each in _warnings(patient):
        if _names_plugin(each):
            yield _trouble(each)
    if patient.damaged:
        return
    from oneiric.hooks.switching import operators

    switches = operators(patient.settings).read()
    unknown = patient.runtime.hooks.unknown(switch.name for switch in switches.values())
    for switch in switches.values():
        if switch.name in unknown:
            yield Trouble(
                f"{switch.name} is switched off by {switch.by}, and there is no such plugin",
                switch.where or None,
                edit=f"remove [off.{switch.name}] there, unless it is to be off when it is installed",
            )


@check("settings-variable-unknown", "warn", mends="`unset NAME`")
def settings_variable_unknown(patient: Patient) -> Iterator[Trouble]:
    """A variable of the environment looks like one of ours, and sets nothing."""
    for each in _warnings(patient):
        if _is_variable(each):
            yield _trouble(each)


@check("selection-unfilled", "warn", mends="the edit that is shown")
def selection_unfilled(patient: Patient) -> Iterator[Trouble]:
    """The settings speak of a key that nobody fills."""
    for each in _warnings(patient):
        if _is_unfilled(each):
            yield _trouble(each)


def _warnings(patient: Patient) -> tuple[Problem, ...]:
    return patient.runtime.settings.warnings


def _is_variable(problem: Problem) -> bool:
    return problem.path.startswith("ONEIRIC_")


def _names_plugin(problem: Problem) -> bool:
    return problem.path in {"plugins.off", "plugins.only"}


def _is_unfilled(problem: Problem) -> bool:
    return problem.message.startswith("nobody fills ")


def _is_lost(patient: Patient, problem: Problem) -> bool:
    """Whether it is a selection for want of which a key is unfilled, which is a finding of its own."""
    return ".selections." in problem.path and patient.runtime.settings.resolver.on_missing == "error"


def _trouble(problem: Problem) -> Trouble:
    said = f"{problem.path}: {problem.message}" if problem.path else problem.message
    hint = " ".join((problem.hint or "").split()) or None
    variable = problem.path if _is_variable(problem) else problem.where or ""
    if variable.startswith("ONEIRIC_") and ":" not in variable:
        return Trouble(said, variable, f"unset {variable}", hint)
    return Trouble(said, problem.where, edit=hint or "set it right, or take it out")


# --- secrets --------------------------------------------------------------------------------------------------------


@check(
    "secret-plain",
    "warn",
    mends='`[secrets] NAME = "env:VARIABLE"`, and `{ "$secret" = "NAME" }` in its place',
)
def secret_plain(patient: Patient) -> Iterator[Trouble]:
    """A secret is written as a text into the settings."""
    from oneiric_hookspecs import Secret

    from oneiric.settings.plain import path_text

    settings = patient.runtime.settings
    texts = settings.texts()
    tables = {"plugins": {"settings": settings.plugins.settings}, **settings.tables}
    for path, text in _leaves(tables):
        if settings.is_secret(*path) and Secret(text) in texts:
            yield Trouble(
                f"{path_text(path)} holds a secret as a text",
                settings.where(*path),
                edit=f'[secrets] {path[-1]} = "env:NAME", and here {{ "$secret" = "{path[-1]}" }}',
            )


def _leaves(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    if isinstance(data, str):
        yield path, data
    elif isinstance(data, Mapping):
        for name in data:
            yield from _leaves(data[name], (*path, name))
    elif isinstance(data, (list, tuple)):
        for place, item in enumerate(data):
            yield from _leaves(item, (*path, place))


@check("secret-missing", "fail", mends="`export NAME=...`; or the file, with mode 600")
def secret_missing(patient: Patient) -> Iterator[Trouble]:
    """A secret that the settings refer to is not where it should be."""
    for known, rest, answer in _looked_up(patient):
        if answer is None:
            scheme = known.source.partition(":")[0]
            what = f"the variable {rest} is not set" if scheme == "env" else f"there is nothing in {rest}"
            mend = f"export {rest}=..." if scheme == "env" else f"(umask 077; cat > {shlex.quote(rest)})"
            used = "" if known.used_by else ", though nobody refers to it"
            yield Trouble(
                f"the secret {known.name}: {what}{used}",
                known.where,
                command=mend,
                severity=None if known.used_by else "warn",
            )


@check("secret-refused", "fail", mends="`chmod 600 FILE`; or as is said")
def secret_refused(patient: Patient) -> Iterator[Trouble]:
    """A secret is not taken from where it is: others may read its file, or it cannot be read."""
    for known, _, answer in _looked_up(patient):
        if isinstance(answer, SecretError):
            hint = answer.hint or ""
            command = hint if hint.startswith("chmod ") else None
            yield Trouble(
                f"the secret {known.name}: {answer.reason}",
                known.where,
                command,
                None if command else hint or None,
            )


def _looked_up(patient: Patient) -> Iterator[tuple[Any, str, Any]]:
    """Each secret of a built-in source, what stands behind its colon, and True, None, or why it is refused."""
    from oneiric_hookspecs import specs

    runtime = patient.runtime
    sources: dict[str, Any] = {}
    for answer in runtime.hooks[specs.oneiric_secret_sources].answers():
        if runtime.hooks.plugin(answer.plugin).origin == "builtin":
            sources[answer.value.scheme] = answer.value
    for known in runtime.secrets.known():
        scheme, _, rest = known.source.partition(":")
        # Others may go through a network, or ask somebody for a finger.
        if scheme in sources and scheme in {"env", "file"}:
            try:
                yield known, rest, None if sources[scheme].get(rest) is None else True
            except SecretError as error:
                yield known, rest, error


# --- what operators switched off ------------------------------------------------------------------------------------


@check(
    "switches-damaged",
    "fail",
    mends="the edit that is shown; or `rm` of the file, and `oneiric plugins off` again",
)
def switches_damaged(patient: Patient) -> Iterator[Trouble]:
    """The ``plugins.toml`` that says what operators switched off cannot be read; no plugin is loaded."""
    for each in patient.damaged:
        file = (each.where or "").partition(".toml:")[0]
        file = f"{file}.toml" if file and not file.endswith(".toml") else file
        rm = "rm -r" if os.path.isdir(file) else "rm"  # noqa: PTH112 - a text
        command = f"{rm} {shlex.quote(file)}" if file and os.path.lexists(file) else None
        then = f"then {pasteable(patient.context, 'plugins', 'off', 'NAME')} for each that is to be off"
        yield Trouble(
            each.message, each.where, command, each.hint if command is None else f"or mend it; {then}"
        )
