"""Which part is meant: by the plugins of this process, and by what the running ones say they have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from oneiric_hookspecs import Key, PluginError, nearest

from oneiric.cli.naming import NoSuch, domain_of

if TYPE_CHECKING:
    from oneiric.state import Living, Seen

    from .desk import Desk


def split(domain: str, *rest: str | None) -> tuple[str, tuple[str | None, ...]]:
    """*domain* and *rest*, where ``adapter:cache`` stands for two words."""
    first, colon, name = domain.partition(":")
    if colon and None in rest:
        return first, (name, *rest[: rest.index(None)], *rest[rest.index(None) + 1 :])
    if colon:
        raise click.UsageError(f"say the key once: {domain!r} names one already")
    return domain, rest


async def seen_by(desk: Desk, living: dict[str, Living], key: Key) -> dict[str, Seen]:
    """What each process does with *key*; not of those that have said nothing of it."""
    found = {name: await desk.observed.seen(name, key) for name in living}
    return {name: seen for name, seen in found.items() if seen is not None}


async def part(desk: Desk, domain: str, name: str, living: dict[str, Living]) -> Key:
    """The part that is meant.

    An application may register parts in its own code, of which this process knows nothing; those that a running one
    says it has are parts, too.

    Raises:
        NoSuch: There is no such domain.
        ResolutionError: There is no such part.
    """
    runtime = desk.runtime
    try:
        key = Key.of(domain_of(runtime, domain), name)
    except PluginError:  # no name that anything could have
        raise NoSuch("part", f"{domain}:{name}", _names(desk, domain)) from None
    if runtime.snapshot.records(key) or await seen_by(desk, living, key):
        return key
    error = runtime.explain(*key).error
    raise error if error is not None else NoSuch("part", str(key), _names(desk, key.domain))


def _names(desk: Desk, domain: str) -> list[str]:
    return [str(key) for key in desk.runtime.snapshot.keys() if key.domain == domain]


def check_provider(desk: Desk, key: Key, provider: str, seen: dict[str, Seen]) -> None:
    """Refuse a provider that could not fill *key* anywhere.

    Raises:
        ResolutionError: Nobody registered it, or it is left out.
    """
    elsewhere = {each.provider for each in seen.values()} | {each.previous for each in seen.values()}
    if provider in elsewhere:
        return
    error = desk.runtime.explain(*key, provider=provider).error
    if error is None:
        return
    if not desk.runtime.snapshot.records(key):
        known = [each for each in elsewhere if each is not None]
        near = nearest(provider, known)
        raise NoSuch("provider", provider, known) if near or known else error
    raise error


def short(key: Key) -> str:
    """*key* as two words of a command line."""
    return f"{key.domain} {key.name}"
