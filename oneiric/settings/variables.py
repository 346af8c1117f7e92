"""The names of all variables that there are; what was perhaps meant by one that is none of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, get_args

import attrs
from oneiric_hookspecs import Problem, nearest

from .environment import PLAIN, PREFIX, folded, without_none
from .plain import FREE, Faults, Parts
from .scalars import expected, origin_of
from .sections import FIXED
from .strict import fields_of

if TYPE_CHECKING:
    from .binding import Catalogue


@attrs.frozen
class Known:
    """A variable that sets something.

    Args:
        name: ``ONEIRIC__APP__NAME``.
        path: What it sets.
        takes: What its text is read as, in words.
    """

    name: str
    path: Parts
    takes: str


def known(catalogue: Catalogue | None, tables: Mapping[str, Any]) -> Iterator[Known]:
    """Every variable there is, as far as is known what is plugged in.

    Args:
        catalogue: What is plugged in; None knows the sections of every application only.
        tables: What is written: the keys of a mapping are those that are in it.
    """
    for name, cls in FIXED.items():
        yield from _below(cls, (name,), tables.get(name, {}))
    for plural in catalogue.domains if catalogue is not None else ():
        assert catalogue is not None
        written = _at(tables, plural)
        candidates = catalogue.candidates[plural]
        names = dict.fromkeys(
            [*candidates, *_keys(_at(written, "selections")), *_keys(_at(written, "settings"))]
        )
        for name in names:
            yield _known((plural, "selections", name), "a provider")
        for name in names:
            path = (plural, "settings", name)
            table, providers = _at(_at(written, "settings"), name), candidates.get(name, {})
            if catalogue.by_key(plural):
                yield from _of(path, [each for some in providers.values() for each in some], table)
                continue
            for provider in dict.fromkeys([*providers, *_keys(table)]):
                yield from _of((*path, provider), providers.get(provider, []), _at(table, provider))


def slips(names: Iterable[str], catalogue: Catalogue, tables: Mapping[str, Any]) -> Iterator[Problem]:
    """Of variables that begin like ours and are none, those that seem to be meant for us.

    A warning: ``ONEIRIC_HOME`` may belong to somebody else.
    """
    there: dict[str, str] = {}
    for name in names:
        if not there:
            there = {_bare(each): each for each in PLAIN}
            there |= {_bare(each.name): each.name for each in known(catalogue, tables)}
        word = _bare(name)
        near = word if word in there else nearest(word, there)
        section = next(
            (s for s in (*FIXED, *catalogue.domains) if f"{word}_".startswith(f"{folded(s)}_")), None
        )
        if near is not None:
            hint = f"did you mean {there[near]}?"
        elif section is not None:
            hint = f"those of [{section}] begin with {PREFIX}{folded(section)}__"
        else:
            continue
        yield Problem(name, "is no variable of ours, and sets nothing", hint=hint)


def _bare(name: str) -> str:
    """*name* without what is the same in all, and however many underscores there are."""
    return re.sub("_+", "_", name.removeprefix("ONEIRIC_").strip("_")).upper()


def _of(path: Parts, candidates: Iterable[Any], table: Any) -> Iterator[Known]:
    classes = dict.fromkeys(each.settings_class for each in candidates if each.settings_class is not None)
    seen = set()
    for cls in classes:
        for each in _below(cls, path, table):
            if each.name not in seen:
                seen.add(each.name)
                yield each
    if not classes:
        # Nobody who is here knows it; what is written there says what there is.
        yield from _written(path, table)


def _written(path: Parts, table: Any) -> Iterator[Known]:
    for name in _keys(table):
        below = _at(table, name)
        if isinstance(below, Mapping):
            yield from _written((*path, name), below)
        else:
            yield _known((*path, name), "as its plugin says")


def _below(kind: Any, path: Parts, table: Any, seen: tuple[Any, ...] = ()) -> Iterator[Known]:
    kind = without_none(kind)
    if attrs.has(kind):
        if kind in seen:
            return  # it holds itself, as deep as one likes
        try:
            fields = fields_of(kind)
        except Faults:
            return
        for name, field in fields.items():
            yield from _below(field.type, (*path, name), _at(table, name), (*seen, kind))
    elif origin_of(kind) in (dict, Mapping) and get_args(kind):
        # [resolver] stack_order may be written as a table, and as a text.
        if path == ("resolver", "stack_order"):
            yield _known(path, "packages, as app:100,vendor:50")
            return
        for name in _keys(table):
            yield from _below(get_args(kind)[1], (*path, name), _at(table, name), (*seen, kind))
    elif expected(kind) not in ("a value", "a table"):
        yield _known(path, expected(kind))


def _known(path: Parts, takes: str) -> Known:
    return Known(PREFIX + "__".join(folded(str(part)) for part in path), path, takes)


def _at(table: Any, name: str) -> Any:
    return table.get(name, {}) if isinstance(table, Mapping) else {}


def _keys(table: Any) -> list[str]:
    return [name for name in table if not name.startswith(FREE)] if isinstance(table, Mapping) else []
