"""Declaring candidates: a few, a million, a thousand of one key; and what each takes of memory."""

from __future__ import annotations

import gc
import re
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from time import process_time
from typing import Any

import peers
from harness import Pace, Sample, in_bulk, race, timed
from lines import Line, Row, ratio
from oneiric_hookspecs import Candidate, Key

from oneiric import assemble

_NAME = re.compile(r"[a-z][a-z0-9_.-]*")


def _names(count: int) -> list[str]:
    return [f"name{number}" for number in range(count)]


def _made(names: Iterable[str]) -> list[Candidate]:
    return [Candidate(Key("adapter", name), "provider", object) for name in names]


def _plain(names: list[str], factory: Callable[[], object] = object) -> dict[tuple[str, str], list[Any]]:
    """Candidates by hand: the name and the factory checked, a tuple put where it belongs."""
    table: dict[tuple[str, str], list[Any]] = {}
    for name in names:
        if _NAME.fullmatch(name) is None or not callable(factory):
            raise ValueError(name)
        table.setdefault(("adapter", name), []).append(("provider", factory, None))
    return table


def _registering(make: Callable[[], list[Candidate]], count: int) -> Sample:
    """Registering with a new runtime each time, whose making is not counted."""
    runtimes = [assemble({}, environment=False)]

    def renew() -> None:
        runtimes[:] = [assemble({}, environment=False)]

    return in_bulk(timed(lambda: runtimes[0].register(*make()), renew, process_time), count)


def register(pace: Pace) -> Iterator[Line]:
    """Candidates are made, validated and registered in bulk, a key each; CPU seconds.  Plain: a name is matched and a
    factory tested for being callable, and a tuple appended to a list in a dict.  Linear: seconds a candidate, of the
    largest and of the smallest number, divided.
    """
    each: list[float] = []
    for count in (10_000, 100_000) if pace.short else (10_000, 100_000, 1_000_000):
        names = _names(count)
        others, absent = peers.asked(peers.declarations(names) if count == 10_000 else {})
        contenders = {
            "plain": in_bulk(timed(partial(_plain, names), clock=process_time), count),
            "ours": _registering(partial(_made, names), count),
        }
        times = race(contenders | others, pace.fewer(9 if count < 1_000_000 else 2))
        each.append(times["ours"].best)
        yield peers.without(ratio(f"{count:,} candidates", times, 10.0), absent)
        if count == 10_000:
            made = _made(names)
            contenders["ours"] = _registering(lambda made=made: made, count)  # type: ignore[misc]
            yield ratio("registering alone", race(contenders, pace.fewer(9)), None)
    yield Line("linear: largest to smallest", each[-1] / each[0], "×", 1.5)


def register_one_key(pace: Pace) -> Iterator[Line]:
    """1,000 candidates of one key are made, validated and registered.  Plain: as above."""
    providers = [f"provider{number}" for number in range(1000)]
    key = Key("adapter", "name")
    contenders = {
        "plain": in_bulk(timed(partial(_plain, providers), clock=process_time), len(providers)),
        "ours": _registering(lambda: [Candidate(key, each, object) for each in providers], len(providers)),
    }
    yield ratio("1,000 of one key", race(contenders, pace), 20.0)


def memory(pace: Pace) -> Iterator[Line]:
    """What a candidate takes of memory, its key and its name counted in, as ``tracemalloc`` sees it."""
    runtime = assemble({}, environment=False)

    def ours(names: list[str]) -> object:
        runtime.register(*_made(names))
        return runtime.registry

    count = 20_000 if pace.short else 100_000
    yield Line("plain: tuples in a dict", _bytes_each(_plain, count), "B", None, exact=True)
    yield Line("a candidate of a key of its own", _bytes_each(ours, count), "B", 580, exact=True)


def _bytes_each(keep: Callable[[list[str]], object], count: int) -> float:
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
