"""Declaring candidates: a few, a million, a thousand of one key; and what each takes of memory."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import peers
from harness import Pace, race, repeat
from oneiric_hookspecs import Candidate, Key
from table import Line, Row, ratio

from oneiric import assemble

_PLAIN = """
    table = {}
    for name in names:
        table.setdefault(("adapter", name), []).append(("provider", factory, None))
"""
_OURS = """
    runtime = assemble({}, environment=False)
    runtime.register(*[Candidate(Key("adapter", name), "provider", factory) for name in names])
"""
_REGISTER = """
    runtime = assemble({}, environment=False)
    runtime.register(*candidates)
"""


def _names(count: int) -> list[str]:
    return [f"name{number}" for number in range(count)]


def _made(names: list[str]) -> list[Candidate]:
    return [Candidate(Key("adapter", name), "provider", object) for name in names]


def register(pace: Pace) -> Iterator[Line]:
    """Candidates are made, validated and registered in bulk, a key each.  Plain: a tuple is appended to a list of its
    key's own, in a dict.  Linear: seconds a candidate, of the largest and of the smallest number, divided."""
    each: list[float] = []
    for count in (10_000, 100_000) if pace.short else (10_000, 100_000, 1_000_000):
        names = _names(count)
        others, absent = peers.asked(peers.declarations(names) if count == 10_000 else {})
        contenders = {
            "plain": repeat(_PLAIN, count, names=names, factory=object),
            "ours": repeat(_OURS, count, names=names, factory=object, assemble=assemble, Candidate=Candidate, Key=Key),
        }
        times = race(contenders | others, pace.fewer(7 if count < 1_000_000 else 2))
        each.append(times["ours"].best)
        yield peers.without(ratio(f"{count:,} candidates", times, 10.0), absent)
    yield Line("linear: the largest number to the smallest", each[-1] / each[0], "×", 1.5)
    names = _names(10_000)
    contenders = {
        "plain": repeat(_PLAIN, len(names), names=names, factory=object),
        "ours": repeat(_REGISTER, len(names), candidates=_made(names), assemble=assemble),
    }
    yield ratio("10,000 candidates, made before", race(contenders, pace.fewer(7)), 10.0)


def register_one_key(pace: Pace) -> Iterator[Line]:
    """1,000 candidates of one key are made, validated and registered.  Plain: as above, all in one list."""
    providers = [f"provider{number}" for number in range(1000)]
    ours = """
        runtime = assemble({}, environment=False)
        runtime.register(*[Candidate(key, provider, factory) for provider in providers])
    """
    plain = """
        table = {}
        for provider in providers:
            table.setdefault(("adapter", "name"), []).append((provider, factory, None))
    """
    names: dict[str, Any] = {"providers": providers, "factory": object}
    contenders = {
        "plain": repeat(plain, 1000, **names),
        "ours": repeat(ours, 1000, **names, key=Key("adapter", "name"), assemble=assemble, Candidate=Candidate),
    }
    yield ratio("1,000 of one key", race(contenders, pace), 20.0)


def memory(pace: Pace) -> Iterator[Line]:
    """What a candidate takes of memory, its key and its name counted in, as ``tracemalloc`` sees it."""
    runtime = assemble({}, environment=False)

    def plain(names: list[str]) -> object:
        table: dict[tuple[str, str], list[Any]] = {}
        for name in names:
            table.setdefault(("adapter", name), []).append(("provider", object, None))
        return table

    def ours(names: list[str]) -> object:
        runtime.register(*_made(names))
        return runtime.registry

    yield Line("plain: a dict of lists of tuples", _bytes_each(plain), "B", None, exact=True)
    yield Line("a candidate of a key of its own", _bytes_each(ours), "B", 580, exact=True)


def _bytes_each(keep: Callable[[list[str]], object], count: int = 100_000) -> float:
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = keep(_names(count))
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
        del kept
    finally:
        tracemalloc.stop()
    return (after - before) / count


ROWS = (
    Row("register", register),
    Row("register-one-key", register_one_key),
    Row("memory", memory),
)
