"""Readers take no lock and see each change whole, however many write."""

import random
import sys
import threading

import pytest
from oneiric_hookspecs import Candidate, Key, NoCandidate, Request, Source

KEYS = [Key.of("adapter", f"part-{number}") for number in range(8)]


@pytest.fixture(autouse=True)
def impatient():
    """Let threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def connect(): ...


def run(*workers):
    """Run them all at once; what one raises fails the test."""
    failures = []
    together = threading.Barrier(len(workers))

    def guarded(worker):
        together.wait()
        try:
            worker()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_a_hundred_threads(registry):
    """Each source writes one number to all keys at a time: no reader ever sees two numbers of it, nor goes back."""
    done = threading.Event()
    writers, steps = 80, 5
    left = [writers]
    count = threading.Lock()

    def writer(name):
        def work():
            source, dice = Source(name), random.Random(name)
            for step in range(1, steps):
                each = [
                    Candidate(key, name, connect, priority=dice.randrange(3), version=str(step))
                    for key in KEYS
                ]
                if dice.random() < 0.2:
                    registry.withdraw(name)
                elif dice.random() < 0.5:
                    registry.register(Source(f"{name}-extra"), Candidate(KEYS[0], name, connect, priority=-1))
                registry.replace(source, each)
            with count:
                left[0] -= 1
                if not left[0]:
                    done.set()

        return work

    def reader():
        seen = {}
        while not done.is_set():
            snapshot = registry.snapshot
            for key in (*KEYS, *reversed(KEYS)):
                for record in snapshot.records(key):
                    name, version = record.source.name, record.candidate.version
                    if version is None:
                        continue
                    revision, number = seen.get(name, (-1, -1))
                    if revision == snapshot.revision:
                        assert number == int(version), "two numbers in one snapshot"
                    assert number <= int(version), "an old number after a new one"
                    seen[name] = (snapshot.revision, int(version))

    def resolver():
        while not done.is_set():
            snapshot = registry.snapshot
            for key in KEYS:
                decision = snapshot.decide(Request(key))
                try:
                    winner = snapshot.resolve(*key)
                except NoCandidate:
                    assert decision.winner is None
                else:
                    records = {id(record.candidate): record for record in snapshot.records(key)}
                    assert id(winner) in records
                    assert winner is decision.winner
                    assert winner.priority == max(record.candidate.priority for record in records.values())

    run(*[writer(f"w{number}") for number in range(writers)], *[reader] * 10, *[resolver] * 10)

    for key in KEYS:
        newest = {record.source.name: record.candidate.version for record in registry.snapshot.records(key)}
        assert {name: newest[name] for name in newest if not name.endswith("extra")} == {
            f"w{number}": str(steps - 1) for number in range(writers)
        }


def test_who_saw_the_new_one_never_sees_an_old_one_elsewhere(registry):
    """Across keys too: resolving one key after another never goes back in time."""
    rounds = 3000
    first, *_, last = KEYS
    source = Source("app")

    def fill(number):
        registry.replace(source, [Candidate(key, "redis", connect, version=str(number)) for key in KEYS])

    fill(0)

    def writer():
        for number in range(1, rounds):
            fill(number)

    def reader():
        number = 0
        while number < rounds - 1:
            for key in (first, last):
                found = int(registry.snapshot.resolve(*key).version)
                assert found >= number
                number = found

    run(writer, *[reader] * 4)


def test_in_the_midst_of_a_change_nothing_of_it_is_seen(registry):
    """At every step of a writer the snapshot is the old one, and shows what it showed."""
    old_keys, kept, new_keys = KEYS[:3], KEYS[3:5], KEYS[5:]
    looks = []

    def look():
        if old is not None:
            looks.append(
                registry.snapshot is old
                and old.keys() == (*old_keys, *kept)
                and [old.resolve(*key).version for key in (*old_keys, *kept)] == ["1"] * 5
                and [old.records(key) for key in new_keys] == [()] * 3
            )

    class Slow(dict):
        def update(self, changed):
            for key, shelf in changed.items():
                look()
                self[key] = shelf
            look()

        def __delitem__(self, key):
            look()
            super().__delitem__(key)
            look()

    source = Source("app")
    registry.snapshot.shelves = Slow()
    old = None
    registry.replace(source, [Candidate(key, "redis", connect, version="1") for key in (*old_keys, *kept)])
    old = registry.snapshot

    registry.replace(source, [Candidate(key, "redis", connect, version="2") for key in (*kept, *new_keys)])

    assert len(looks) == 9 + 2 * len(old_keys)
    assert all(looks)
    assert registry.snapshot.keys() == (*kept, *new_keys)


def test_no_registration_is_lost(registry):
    """Writers take turns: what every one of them registered is there."""

    def writer(name):
        def work():
            for number in range(100):
                registry.register(Source(name), Candidate(KEYS[0], f"{name}-{number}", connect))

        return work

    run(*[writer(f"w{number}") for number in range(10)])

    assert len(registry.snapshot.records(KEYS[0])) == 1000
    assert registry.snapshot.revision == 1001


def test_everybody_who_listens_is_told_of_every_change(registry):
    """In the thread that made it, whoever else writes."""
    heard = []
    registry.on_change(lambda change: heard.append((threading.get_ident(), change.after.revision)))

    def writer(name):
        def work():
            mine = threading.get_ident()
            for number in range(50):
                change = registry.register(Source(name), Candidate(KEYS[0], f"{name}-{number}", connect))
                assert (mine, change.after.revision) in heard

        return work

    run(*[writer(f"w{number}") for number in range(8)])

    assert sorted(revision for _, revision in heard) == list(range(2, 402))
