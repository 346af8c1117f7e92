"""Who wins a key: asked warm, asked by many threads, asked first, asked why."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import peers
from harness import Pace, Sample, race, repeat, timed
from lines import Line, Row, ratio, seconds
from oneiric_hookspecs import Candidate, Key

from oneiric import assemble
from oneiric.registry import Snapshot

_DOMAIN = "adapter"
_LOOKED_UP = 1000  # keys that a loop looks up, in a random order


def snapshot(keys: int, candidates: int = 1) -> Snapshot:
    """A snapshot with so many keys, and so many candidates of each."""
    runtime = assemble({}, environment=False)
    runtime.register(
        *(
            Candidate(Key(_DOMAIN, f"name{number}"), f"provider{which}", object)
            for number in range(keys)
            for which in range(candidates)
        )
    )
    return runtime.snapshot


def some(keys: int) -> list[tuple[str, str]]:
    """Keys to look up: texts that are equal to those of the snapshot, and other objects, as a caller's are."""
    numbers = random.Random(1).sample(range(keys), min(keys, _LOOKED_UP))
    return [(_DOMAIN, f"name{number}") for number in numbers]


def resolve(pace: Pace) -> Iterator[Line]:
    """The winner of a key by domain and name, warm; keys in a random order.  Plain: a hit in a dict of the same keys
    and winners.  Flat: the ratios of the largest and of the smallest number, divided.
    """
    found = {}
    for keys, candidates in ((10, 1), (1000, 1), (100_000, 1), (1000, 100)):
        looked_up = some(keys)
        ours = snapshot(keys, candidates)
        # The same objects: to find one is to touch it, and they lie as far apart as they were made.
        plain = {key: ours.resolve(*key) for key in ours.keys()}
        others, absent = peers.asked(peers.lookups(looked_up) if (keys, candidates) == (1000, 1) else {})
        per = len(looked_up)
        times = race(
            {
                "plain": repeat(
                    "for domain, name in keys: plain[domain, name]", per, keys=looked_up, plain=plain
                ),
                "ours": repeat(
                    "for domain, name in keys: resolve(domain, name)",
                    per,
                    keys=looked_up,
                    resolve=ours.resolve,
                ),
                **others,
            },
            pace,
        )
        found[keys, candidates] = line = ratio(_of(keys, candidates), times, 2.0)
        yield peers.without(line, absent)
    few, many, crowded = found[1000, 1].figure, found[100_000, 1].figure, found[1000, 100].figure
    yield Line("flat in keys: 100,000 to 1,000", many / few, "×", 1.5)
    yield Line("flat in candidates: 100 to 1", crowded / few, "×", 1.5)


def _of(keys: int, candidates: int) -> str:
    return f"{keys:,} keys" + (f" of {candidates} candidates" if candidates > 1 else "")


def dict_of(keys: int) -> dict[tuple[str, str], object]:
    """The plain-Python limit of looking up: a dict with so many keys."""
    return {(_DOMAIN, f"name{number}"): object() for number in range(keys)}


def resolve_threads(pace: Pace) -> Iterator[Line]:
    """The same from 8 threads at once, seconds of all by calls of all, for longer than a thread may keep the others
    waiting.  Plain here: ours from a single thread.
    """
    looked_up = some(1000)
    ours = snapshot(1000)
    for domain, name in looked_up:
        ours.resolve(domain, name)
    per = len(looked_up)
    single = repeat(
        "for domain, name in keys: resolve(domain, name)", per, keys=looked_up, resolve=ours.resolve
    )
    times = race({"plain": single, "ours": in_threads(single, 8, per)}, pace.longer(20))
    yield ratio("8 threads to 1", times, 1.2)


def in_threads(sample: Sample, count: int, per: int) -> Sample:
    """The same work, shared among *count* threads that begin together; a thread does a multiple of *per*."""

    def run(number: int) -> float:
        gate = threading.Barrier(count + 1)
        share = -(-number // (count * per)) * per

        def work() -> None:
            gate.wait()
            sample(share)

        threads = [threading.Thread(target=work) for _ in range(count)]
        for thread in threads:
            thread.start()
        gate.wait()
        began = perf_counter()
        for thread in threads:
            thread.join()
        return (perf_counter() - began) * number / (count * share)

    return run


def resolve_first(pace: Pace) -> Iterator[Line]:
    """The tenth candidate of a key is registered, and the key resolved for the first time after it.  Plain: a row is
    appended to nine others, and the highest by priority, level and place is put into a dict and read from it.
    """
    key = Key(_DOMAIN, "cache")
    candidates = [Candidate(key, f"provider{which}", object, priority=which) for which in range(10)]
    runtime = assemble({}, environment=False)
    runtime.register(*candidates[:-1])
    rows = [(candidate.priority or 0, 0, place, candidate) for place, candidate in enumerate(candidates)]
    tenth = rows.pop()
    winners: dict[tuple[str, str], Any] = {}

    def plain() -> Any:
        rows.append(tenth)
        winners[_DOMAIN, "cache"] = max(rows, key=lambda row: row[:3])[3]
        return winners[_DOMAIN, "cache"]

    def ours() -> Any:
        runtime.register(candidates[-1])
        return runtime.resolve(_DOMAIN, "cache")

    assert ours() is plain() is candidates[-1]
    rows.pop()
    runtime.withdraw(provider="provider9")
    times = race(
        {
            "plain": timed(plain, rows.pop),
            "ours": timed(ours, lambda: runtime.withdraw(provider="provider9")),
        },
        pace,
    )
    yield ratio("10th candidate, first resolve", times, 5.0)


def explain(pace: Pace) -> Iterator[Line]:
    """The decision about a key of 10 candidates that has just changed; its rows are made when they are looked at, and
    their sentences when they are read.
    """
    runtime = assemble({}, environment=False)
    key = Key(_DOMAIN, "cache")
    runtime.register(*(Candidate(key, f"provider{which}", object, priority=which) for which in range(10)))
    providers = itertools.cycle(["provider4", "provider5"])

    def change() -> None:
        runtime.pin(*key, next(providers))

    times = race({"ours": timed(lambda: runtime.explain(*key), change)}, pace)
    yield seconds("10 candidates", times, 10e-6)
    decision = runtime.explain(*key)
    read = race({"ours": repeat("[row.reason for row in rows]", rows=decision.rows)}, pace)
    yield seconds("reading the sentences of all 10", read, None)


ROWS = (
    Row("resolve", resolve),
    Row("resolve-threads", resolve_threads),
    Row("resolve-first", resolve_first),
    Row("explain", explain),
)
