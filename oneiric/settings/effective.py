"""The settings in force, one by one: what each is, who set it, and what that overrode.

No secret is among them: at a field that is a ``Secret`` stands ``***``, and so it does where nobody says what something
is, as in the table of a plugin that is not there.
"""

from __future__ import annotations

import datetime as dt
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

import attrs
from oneiric_hookspecs import Candidate, Domain, Key, Secret
from oneiric_hookspecs.secrets import MASK

from . import described
from .binding import Catalogue, structured
from .layers import Origin
from .model import Settings
from .plain import FREE, REFERENCE, Faults, Parts, is_reference
from .references import Reading, reading
from .scalars import TABLES, bare, is_union, origin_of
from .schema import plain
from .sections import FIXED
from .strict import fields_of

_PASSWORD = re.compile(r"(?<=://)([^/?#\s:@]*):[^/?#\s@]+@")


@attrs.frozen
class Earlier:
    """What was said about a setting and is not in force.

    Args:
        where: ``file:line``, the variable or the option; None for settings given in code.
        value: Plain data to be shown.
    """

    where: str | None
    value: Any


@attrs.frozen
class Effective:
    """A setting in force.

    Args:
        path: Where it stands.
        value: Plain data to be shown; None where it is not set, and has no default.
        set: Whether somebody set it; else it is a default.
        where: What set it; None for a default, and for settings given in code.
        over: What that overrode, the strongest first.
    """

    path: Parts
    value: Any
    set: bool
    where: str | None
    over: tuple[Earlier, ...]


class _Undeclared:
    """Stands for a class that nobody knows."""


def effective(
    settings: Settings,
    domains: Iterable[Domain],
    candidates: Iterable[Candidate],
    plugins: Mapping[str, type | None],
) -> Iterator[Effective]:
    """Every setting in force.

    Args:
        settings: Bound to what is plugged in.
        domains: Those that are plugged in.
        candidates: Those that are.
        plugins: Those that take settings, with their class; None where it is not known.
    """
    walk = _Walk(settings.origin)
    for name, cls in FIXED.items():
        section = getattr(settings, name)
        if name == "secrets":
            # What stands behind the colon is no secret as a rule, and nobody can be sure.
            shown = {key: f"{source.partition(':')[0]}:{MASK}" for key, source in section.items()}
            yield from walk.fixed(shown, (name,))
            continue
        value = plain(section)
        if name == "remote":
            for stream, fields in value.items():
                yield from walk.fixed(fields, (name, stream))
            continue
        for field in attrs.fields(cls):
            if (name, field.name) == ("plugins", "settings"):
                tables = section.settings
                for plugin in sorted({*tables, *plugins}):
                    kind = plugins.get(plugin) or _Undeclared
                    yield from walk.below(kind, tables.get(plugin), (name, field.name, plugin))
            else:
                yield from walk.fixed(value[field.alias or field.name], (name, field.name))
    catalogue = Catalogue.of(domains, candidates)
    with reading(Reading(settings.secrets)):
        for plural in sorted({*catalogue.domains, *settings.tables}):
            yield from _section(plural, settings.tables.get(plural, {}), catalogue, walk)


def _section(plural: str, table: Any, catalogue: Catalogue, walk: _Walk) -> Iterator[Effective]:
    if plural not in catalogue.domains:
        yield from walk.below(_Undeclared, table, (plural,))
        return
    for name, provider in _pairs(table.get("selections")):
        yield from walk.leaf((plural, "selections", name), provider, str)
    written = dict(_pairs(table.get("settings")))
    known = catalogue.candidates[plural]
    for name in sorted({*known, *written}):
        path: Parts = (plural, "settings", name)
        providers = known.get(name, {})
        if name not in known:
            yield from walk.below(_Undeclared, written[name], path)
        elif catalogue.by_key(plural):
            every = [each for some in providers.values() for each in some]
            yield from walk.below(_class(every, written.get(name)), written.get(name), path)
        else:
            tables = dict(_pairs(written.get(name)))
            for provider in sorted({*providers, *tables}):
                cls = _class(providers.get(provider, []), tables.get(provider))
                yield from walk.below(cls, tables.get(provider), (*path, provider))


def _class(candidates: list[Candidate], table: Any) -> Any:
    """The class of *table*: of versions that differ, the first that it fits; None where there is none."""
    takers = [each for each in candidates if each.settings_class is not None]
    for candidate in takers:
        try:
            structured(candidate, table or {})
        except Faults:
            continue
        return candidate.settings_class
    if takers:
        return takers[0].settings_class
    return _Undeclared if table else None


class _Walk:
    def __init__(self, origin: Origin) -> None:
        self._origin = origin

    def fixed(self, value: Any, path: Parts) -> Iterator[Effective]:
        """What is below *path* of a section that every application has; its values are no secrets."""
        if isinstance(value, Mapping):
            for name, item in value.items():
                each = (*path, name)
                # What holds for a key is completed from what holds for all, where it is shown already.
                if path[:2] != ("lifecycle", "keys") or self._origin.history(each):
                    yield from self.fixed(item, each)
        else:
            yield from self.leaf(path, value, str)

    def below(self, kind: Any, value: Any, path: Parts) -> Iterator[Effective]:
        """What is below *path*, where something of *kind* stands; None for nothing."""
        kind = _one(kind)
        if kind is None:
            return
        if is_reference(value) or _is_secret(kind):
            yield from self.leaf(path, value, kind)
        elif attrs.has(kind) and (value is None or isinstance(value, Mapping)):
            yield from self._class(kind, value or {}, path)
        elif isinstance(value, Mapping) and (kind is _Undeclared or origin_of(kind) in TABLES):
            item = kind if kind is _Undeclared else (get_args(kind) or (str, Any))[1]
            for name, each in _pairs(value):
                yield from self.below(item, each, (*path, name))
        elif value is not None or kind is not _Undeclared:
            yield from self.leaf(path, value, kind)

    def _class(self, cls: Any, table: Mapping[str, Any], path: Parts) -> Iterator[Effective]:
        try:
            fields = fields_of(cls)
        except Faults:
            yield from self.below(_Undeclared, table, path)
            return
        for name, field in fields.items():
            kind = Any if field.type is None else field.type
            value = table.get(name)
            if name not in table:
                there, default = described.default(field)
                value = _as_toml_has_it(default) if there else None
            if value is None and attrs.has(_one(kind)) and not described.required(field):
                value, kind = None, str  # nothing, where there could be a table
            yield from self.below(kind, value, (*path, name))

    def leaf(self, path: Parts, value: Any, kind: Any) -> Iterator[Effective]:
        """The setting at *path*."""
        history = self._origin.history(path)
        over = tuple(Earlier(said.place, _shown(said.value, kind)) for said in reversed(history[:-1]))
        where = history[-1].place if history else None
        yield Effective(path, _shown(value, kind), bool(history), where, over)


def _shown(value: Any, kind: Any) -> Any:
    if is_reference(value):
        return {REFERENCE: str(value[REFERENCE])}
    if value is None:
        return None
    if kind is _Undeclared or _is_secret(kind):
        return MASK
    return _without_passwords(_as_toml_has_it(value))


def _as_toml_has_it(value: Any) -> Any:
    """*value* as plain data, with dates and numbers as they are, and no secret."""
    if isinstance(value, Secret):
        return MASK
    if attrs.has(type(value)):
        fields = fields_of(type(value))
        return {name: _as_toml_has_it(getattr(value, field.name, None)) for name, field in fields.items()}
    if isinstance(value, Mapping):
        return {str(name): _as_toml_has_it(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)) and not isinstance(value, Key):
        return [_as_toml_has_it(item) for item in value]
    return value if isinstance(value, (float, dt.date, dt.time)) else plain(value)


def _without_passwords(value: Any) -> Any:
    """*value* without the passwords of addresses, which are often written where only an address is expected."""
    if isinstance(value, str):
        return _PASSWORD.sub(rf"\1:{MASK}@", value)
    if isinstance(value, dict):
        return {name: _without_passwords(item) for name, item in value.items()}
    return [_without_passwords(item) for item in value] if isinstance(value, list) else value


def _one(kind: Any) -> Any:
    """*kind* without what is wrapped around it, and without None."""
    kind = bare(kind)
    if is_union(kind):
        arms = [arm for arm in get_args(kind) if arm is not types.NoneType]
        if len(arms) == 1:
            return bare(arms[0])
    return kind


def _is_secret(kind: Any, seen: tuple[Any, ...] = ()) -> bool:
    """Whether what stands there as one value is, or may hold, a secret."""
    kind = bare(kind)
    if kind is Secret:
        return True
    if kind in seen or kind is _Undeclared:
        return False
    origin = origin_of(kind)
    if is_union(kind) or origin in (list, tuple, set, frozenset):
        return any(_holds(arm, (*seen, kind)) for arm in get_args(kind))
    return False


def _holds(kind: Any, seen: tuple[Any, ...]) -> bool:
    kind = bare(kind)
    if kind in seen:
        return False
    if attrs.has(kind):
        try:
            fields = fields_of(kind)
        except Faults:
            return True
        return any(_holds(field.type, (*seen, kind)) for field in fields.values())
    return kind is Secret or any(_holds(arm, (*seen, kind)) for arm in get_args(kind) if arm is not Ellipsis)


def _pairs(table: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(table, Mapping):
        yield from ((name, value) for name, value in table.items() if not name.startswith(FREE))
