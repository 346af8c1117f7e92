"""Phase one: files, a profile, the environment and the command line become settings."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
from oneiric_hookspecs import Problem, SettingsError

from . import environment, profiles
from .binding import section_of
from .fixed import concerns_plugins, others, sections
from .layers import Kind, Layer, Origin, in_order, merged
from .model import Settings, Unchosen
from .overrides import Flag, flagged, overridden
from .plain import Fault, sift
from .references import opaque
from .sources import configured, read

#: What settings can be made of: a file, several with the weakest first, their content, or settings themselves.
SettingsSource = (
    str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Mapping[str, Any] | Settings | None
)
_Written = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Mapping[str, Any] | None


@opaque
def load(
    source: SettingsSource = None,
    *,
    environ: Mapping[str, str] | None = None,
    profile: str | None = None,
    flags: Iterable[Flag] = (),
) -> Settings:
    """Read the settings, and check the sections that every application has.

    They are made of layers, the weakest first: the defaults, the files in their order, the profile, the environment,
    and the options of a command.  Tables are merged; a value or a list takes the place of what was there.

    Args:
        source: A TOML file, several, the content of one as a mapping, or settings, which are returned as they are.
            None takes the files that ``ONEIRIC_CONFIG`` names, else the nearest ``oneiric.toml`` from the working
            directory upward, else the defaults.
        environ: The environment, whose ``ONEIRIC__SECTION__KEY`` win over the files; None is the process's.
        profile: The profile; None takes what ``ONEIRIC_PROFILE`` names, else ``default``.
        flags: What the options of a command add.
    Returns:
        The settings; ``Settings.bind`` checks the sections of domains.
    Raises:
        SettingsError: A file cannot be read, or everything that is wrong with what they say, at once.
    """
    settings = examine(source, environ=environ, profile=profile, flags=flags)
    if settings.problems:
        raise SettingsError(settings.problems)
    return settings


@opaque
def examine(
    source: SettingsSource = None,
    *,
    environ: Mapping[str, str] | None = None,
    profile: str | None = None,
    flags: Iterable[Flag] = (),
) -> Settings:
    """As ``load``, for who wants to hear what is wrong with the sections of domains in the same breath.

    Returns:
        Settings without what is wrong, which ``problems`` lists, and ``bind`` raises with what it finds itself.
    Raises:
        SettingsError: A file cannot be read.
    """
    if isinstance(source, Settings):
        return source
    flags = tuple(flags)
    environ = os.environ if environ is None else environ
    files, documents, faults = _documents(source, environ)
    problems: list[Problem] = []
    known = profiles.names(documents)
    named_by = None if profile else profiles.VARIABLE
    name = profile or environ.get(profiles.VARIABLE) or profiles.USUAL
    blind = name not in known
    if blind:
        message, hint = profiles.unknown(name, known)
        problems.append(Problem("", message, named_by, hint))
        name = profiles.USUAL

    base: Mapping[str, Any] = MappingProxyType({})
    for document in documents:
        base = merged(base, profiles.without(document.tables))
    tables = profiles.laid_over(base, name, documents)
    origin = Origin((*documents, *profiles.layers(name, documents)))
    faults += profiles.malformed(documents)
    variables = environment.variables(environ)
    fixed = [variable for variable in variables if environment.concerns_fixed(variable)]
    before = tables
    tables, origin, wrong = overridden(
        tables,
        origin,
        environment.special(environ),
        fixed,
        lambda variable: environment.override_fixed(variable, before),
    )
    tables, origin = flagged(tables, origin, flags)
    made, found = sections(tables)
    blind = blind or concerns_plugins([*faults, *found]) or any(_names_plugins(fault) for fault in wrong)
    if blind:
        # Nothing is loaded that somebody may have meant to leave out.
        made["plugins"] = attrs.evolve(made["plugins"], auto_load=False)
        made["app"] = attrs.evolve(made["app"], plugins=())
    problems += origin.problems([*faults, *wrong, *found])
    unchosen = [_unchosen(each, base, documents) for each in profiles.written(documents) if each != name]
    for other in unchosen:
        problems += other.problems(sections(other.tables)[1])
    domains = others(tables)
    return Settings(
        **made,
        domains=MappingProxyType({each: section_of(table) for each, table in domains.items()}),
        profile=name,
        file=files[0].absolute() if files else None,
        files=tuple(file.absolute() for file in files),
        flags=flags,
        problems=tuple(in_order(problems, origin)),
        tables=MappingProxyType(
            {each: table for each, table in domains.items() if isinstance(table, Mapping)}
        ),
        origin=origin,
        pending=tuple(variable for variable in variables if variable not in fixed),
        strangers=environment.strangers(environ),
        unchosen=tuple(unchosen),
        blind=blind,
    )


def _documents(
    source: _Written, environ: Mapping[str, str]
) -> tuple[tuple[Path, ...], list[Layer], list[Fault]]:
    """The files and what they say, the weakest first, and what in it is not plain data."""
    files: tuple[Path, ...] = ()
    read_: list[tuple[Mapping[str, Any], str | None, str]] = []
    if isinstance(source, Mapping):
        read_.append((source, None, ""))
    else:
        if source is None:
            files = configured(environ).files
        elif isinstance(source, (str, os.PathLike)):
            files = (Path(source),)
        else:
            files = tuple(Path(each) for each in source)
        unreadable: list[Problem] = []
        for file in files:
            try:
                tables, text = read(file)
                read_.append((tables, str(file), text))
            except SettingsError as error:
                unreadable += error.problems
        if unreadable:
            raise SettingsError(unreadable)
    documents: list[Layer] = []
    faults: list[Fault] = []
    for data, name, text in read_:
        try:
            plain, not_plain = sift(data)
        except RecursionError:
            raise SettingsError([Problem("", "is nested too deeply", name)]) from None
        kind: Kind = "code" if name is None else "file"
        documents.append(Layer(kind, name or "settings given in code", plain, name, text))
        faults += not_plain
    return files, documents, faults


def _unchosen(name: str, base: Mapping[str, Any], documents: list[Layer]) -> Unchosen:
    over = profiles.layers(name, documents)
    return Unchosen(name, profiles.laid_over(base, name, documents), Origin((*documents, *over)))


def _names_plugins(fault: Fault) -> bool:
    """Whether it is about a variable that may have said which plugins are loaded."""
    return str(fault.path[0]).upper().startswith(("ONEIRIC__PLUGINS", "ONEIRIC__APP"))
