"""Streams: what a body costs that is new, or new in one line; and how long an event loop waits for it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
import threading
import time
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import cattrs
from harness import Pace, Times, in_bulk, race, timed
from lines import Line, Row, ratio, seconds
from oneiric_hookspecs import Entry

from oneiric import assemble
from oneiric.remote.applying import apply, take_back
from oneiric.remote.changes import Inventory
from oneiric.remote.decoding import Decoded, decode
from oneiric.remote.force import Force
from oneiric.remote.planning import plan
from oneiric.remote.stream import Stream
from oneiric.settings.streams import Stream as Section


def _line(number: int, priority: int = 10) -> bytes:
    entry = {
        "domain": "adapter",
        "key": f"part-{number:06}",
        "provider": "redis",
        "factory": "string:Formatter",
        "version": "1.2.3",
        "priority": priority,
        "capabilities": ["ttl", "scan"],
        "owner": "team-cache",
        "license": "MIT",
        "docs": "https://shop.example/parts",
        "labels": {"tier": "gold", "region": "eu-west-1"},
    }
    return json.dumps(entry, separators=(",", ":")).encode()


def _body(count: int, changed: int = -1) -> bytes:
    head = json.dumps({"spec": "1", "stream": "prod", "version": 1, "count": count}).encode()
    lines = [_line(number, 11 if number == changed else 10) for number in range(count)]
    return b"\n".join([head, *lines, b""])


def _stream(folder: str) -> Stream:
    runtime = assemble({"app": {"state_dir": folder}}, environment=False)
    section = Section(url="https://shop.example", keyring="keys.json", factories=("string",))
    settings = attrs.evolve(runtime.settings, remote={"prod": section})
    return Stream("prod", lambda: settings, runtime.hooks, runtime.registry, wall=time.time, draw=lambda: 0.5)


def _apply(stream: Stream, body: bytes, previous: Decoded | None = None) -> None:
    decoded = decode(body, previous=previous)
    planned = plan(stream, decoded)
    apply(stream, planned)
    stream.force = Force(None, decoded, planned.registered)


def _reading() -> Any:
    """Lines become entries by cattrs, which is told to be strict."""
    converter = cattrs.Converter(forbid_extra_keys=True)

    def exactly(kind: type) -> Any:
        def hook(value: Any, _: Any) -> Any:
            if value.__class__ is not kind:
                raise TypeError(value)
            return value

        return hook

    for kind in (str, int, bool):
        converter.register_structure_hook(kind, exactly(kind))
    converter.register_structure_hook_func(lambda kind: typing.get_origin(kind) is Mapping, exactly(dict))
    structure = converter.get_structure_hook(Entry)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) < len(pairs):
            raise ValueError(pairs)
        return table

    read = json.JSONDecoder(object_pairs_hook=once).decode
    return lambda body: [structure(read(line.decode()), Entry) for line in body.split(b"\n")[1:-1]]


def _lag(stream: Stream, body: bytes) -> float:
    """The longest that a loop had to wait while another thread applied *body*."""

    async def watch() -> float:
        worst, thread = 0.0, threading.Thread(target=_apply, args=(stream, body))
        thread.start()
        while thread.is_alive():
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            worst = max(worst, time.perf_counter() - began - 0.001)
        thread.join()
        return worst

    return asyncio.run(watch())


def applying(pace: Pace) -> Iterator[Line]:
    """A body is read, checked, made candidates of, and registered; the digest of its bytes is reckoned too.  Plain, of
    a new body: JSON Lines with a check for names that stand twice, and a strict cattrs; of one changed line: sha256,
    splitting, and the difference of two sets.  The last: the longest wait of an event loop meanwhile.
    """
    count = 1_000 if pace.short else 10_000
    with tempfile.TemporaryDirectory() as folder:
        stream = _stream(folder)
        body, other, reading = _body(count), _body(count, count // 2), _reading()

        def renew() -> None:
            take_back(stream, Inventory())
            stream.force = Force()

        few = pace.fewer(7)
        times = race(
            {
                "plain": in_bulk(timed(lambda: reading(body)), count),
                "ours": in_bulk(timed(lambda: _apply(stream, body), renew), count),
            },
            few,
        )
        yield ratio(f"each of {count:,} new entries", times, 1.5)
        _apply(stream, body)
        force, old = stream.force, set(body.split(b"\n"))

        def put_back() -> None:
            take_back(stream, force.registered)
            stream.force = force

        times = race(
            {
                "plain": timed(lambda: (hashlib.sha256(other).digest(), set(other.split(b"\n")) - old)),
                "ours": timed(lambda: _apply(stream, other, force.decoded), put_back),
            },
            few,
        )
        yield ratio(f"one of {count:,} changed", times, 1.5)
        waits = []
        for _ in range(few.rounds):
            renew()
            waits.append(_lag(stream, body))
        yield seconds("lag of a loop meanwhile", {"ours": Times(tuple(waits))}, 0.010)


ROWS = (Row("remote-apply", applying),)
