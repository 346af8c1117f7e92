"""Which values of a table are secrets, by what its class says; so that it can be shown without them."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, get_args

import attrs
from oneiric_hookspecs import Secret
from oneiric_hookspecs.secrets import MASK

from .plain import Faults, Parts, canonical, is_reference
from .scalars import LISTS, SETS, TABLES, bare, is_union, origin_of
from .strict import fields_of


def secret_places(data: Any, kind: Any, path: Parts = ()) -> Iterator[Parts]:
    """Where in *data*, which is meant for *kind*, a secret is written; what refers to one is none itself.

    Args:
        data: Plain data.
        kind: A class of settings, or any type that a field of one may have.
        path: What the paths begin with.
    """
    if is_reference(data):
        return
    kind = bare(kind)
    origin = origin_of(kind)
    if origin is Secret:
        yield path
    elif is_union(kind):
        for arm in get_args(kind):
            yield from secret_places(data, arm, path)
    elif isinstance(data, Mapping):
        if isinstance(origin, type) and attrs.has(origin):
            for name, field in _fields(origin).items():
                if name in data:
                    yield from secret_places(data[name], field.type, (*path, name))
        elif origin in TABLES:
            for name, item in data.items():
                yield from secret_places(item, get_args(kind)[1] if get_args(kind) else Any, (*path, name))
    elif isinstance(data, (list, tuple)):
        kinds = get_args(kind)
        each = kinds[0] if kinds and (origin in LISTS | SETS or kinds[-1] is Ellipsis) else None
        for place, item in enumerate(data):
            if each is not None or (origin is tuple and place < len(kinds)):
                yield from secret_places(item, kinds[place] if each is None else each, (*path, place))


def hidden(data: Any, places: Iterable[Parts], by: Callable[[Any], Any] = lambda _: MASK) -> Any:
    """*data* with ``***``, or what *by* makes of it, at *places*."""
    places = list(places)
    if () in places:
        return by(data)
    below: dict[Any, list[Parts]] = {}
    for first, *rest in places:
        below.setdefault(first, []).append(tuple(rest))
    if isinstance(data, Mapping):
        return {name: hidden(item, below[name], by) if name in below else item for name, item in data.items()}
    if isinstance(data, (list, tuple)):
        return [hidden(item, below[at], by) if at in below else item for at, item in enumerate(data)]
    return data


def at(data: Any, path: Parts) -> Any:
    """What stands at *path*; None where there is nothing."""
    for part in path:
        if isinstance(data, Mapping):
            data = data.get(part)
        elif isinstance(data, (list, tuple)) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return None
    return data


def digest(value: Any) -> str:
    """A text that is equal for equal values, in this process, and from which nobody can try values out."""
    import hashlib  # with openssl in its train; seldom is there a secret

    return hashlib.blake2b(
        canonical(value).encode("utf-8", "surrogatepass"), key=_key(), digest_size=16
    ).hexdigest()


@functools.cache
def _key() -> bytes:
    return os.urandom(32)


def _fields(cls: type) -> dict[str, attrs.Attribute[Any]]:
    try:
        return fields_of(cls)
    except Faults:
        return {}  # structuring says so
