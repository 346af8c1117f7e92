"""Changing a part of what a source declares, in one step."""

import threading

import pytest
from oneiric_hookspecs import Candidate, Domain, Key, PluginError, Source, specs

from oneiric.hooks import HookManager
from oneiric.plugins import eligibility, precedence
from oneiric.registry import Registry
from oneiric.resolution import Resolver, Strategy

STREAM = Source("stream:prod", "stream")
OTHER = Source("shop")


def make():
    return object()


def candidate(name, provider="a", version=None, **more):
    return Candidate(Key("adapter", name), provider, make, version=version, **more)


def dropped(name, provider="a", version=None):
    return Key("adapter", name), provider, version


@pytest.fixture
def registry():
    hooks = HookManager("oneiric")
    hooks.add_specs(specs)
    hooks.register(precedence, "precedence")
    hooks.register(eligibility, "eligibility")
    return Registry([Domain("adapter", "adapters")], resolver=Resolver(Strategy.of(hooks)))


def there(registry):
    return sorted(
        (
            key.name,
            record.source.name,
            record.candidate.provider,
            record.candidate.version,
            record.candidate.priority,
        )
        for key in registry.snapshot.keys()
        for record in registry.snapshot.records(key)
    )


def test_some_are_put_and_some_are_dropped_in_one_step(registry):
    """One revision, in which everything that was not named stays, of other sources and of this one."""
    registry.register(OTHER, candidate("one"), candidate("two"))
    registry.replace(STREAM, [candidate("one", "s"), candidate("two", "s"), candidate("three", "s")], order=1)
    before = registry.snapshot
    change = registry.amend(
        STREAM,
        [candidate("two", "s", priority=5), candidate("four", "s")],
        [dropped("one", "s"), dropped("three", "s"), dropped("nothing", "s")],
        order=1,
    )
    assert there(registry) == [
        ("four", "stream:prod", "s", None, None),
        ("one", "shop", "a", None, None),
        ("two", "shop", "a", None, None),
        ("two", "stream:prod", "s", None, 5),
    ]
    assert (change.after.revision, set(change.keys)) == (
        before.revision + 1,
        {Key("adapter", name) for name in ("one", "two", "three", "four")},
    )
    assert Key("adapter", "three") not in registry.snapshot.keys()


def test_nothing_that_changes_is_no_revision(registry):
    """What is equal to what is there, and what is not there to be dropped, change nothing."""
    registry.replace(STREAM, [candidate("one", "s")], order=1)
    before = registry.snapshot
    for change in (
        registry.amend(STREAM, [], order=1),
        registry.amend(STREAM, [candidate("one", "s")], [dropped("two")], order=1),
        registry.amend(STREAM, [], [dropped("one", "s", "1.0"), dropped("one", "a")], order=1),
        registry.amend(Source("stranger"), [], [dropped("one", "s")]),
    ):
        assert (change.before, change.after) == (before, before)


def test_one_version_of_several_is_dropped(registry):
    """An identity is a provider and a version."""
    registry.replace(STREAM, [candidate("one", "s", "1.0"), candidate("one", "s", "2.0")], order=1)
    registry.amend(STREAM, [], [dropped("one", "s", "2.0")], order=1)
    assert there(registry) == [("one", "stream:prod", "s", "1.0", None)]


def test_what_cannot_be_registered_changes_nothing(registry):
    """Not even what was to be dropped."""
    registry.replace(STREAM, [candidate("one", "s")], order=1)
    before = registry.snapshot
    bad = Candidate(Key("nowhere", "one"), "s", make)
    with pytest.raises(PluginError):
        registry.amend(STREAM, [bad], [dropped("one", "s")], order=1)
    with pytest.raises(PluginError):
        registry.amend(STREAM, [candidate("two", "s")], [dropped("one", "s")], order=2)
    assert registry.snapshot is before


def test_what_was_put_goes_when_its_source_goes(registry):
    """Withdrawing or replacing the source finds what came by amending."""
    registry.replace(STREAM, [candidate("one", "s")], order=1)
    registry.amend(STREAM, [candidate("two", "s")], [dropped("one", "s")], order=1)
    registry.amend(STREAM, [candidate("one", "s")], order=1)
    registry.replace(STREAM, [candidate("three", "s")], order=1)
    assert there(registry) == [("three", "stream:prod", "s", None, None)]
    registry.amend(STREAM, [candidate("four", "s")], order=1)
    registry.withdraw("stream:prod")
    assert there(registry) == []


def test_readers_see_old_or_new(registry):
    """A thread that reads while another amends never finds a part of a change."""
    names = [f"part-{number}" for number in range(40)]
    registry.replace(STREAM, [candidate(name, "even") for name in names], order=1)
    torn, done = [], threading.Event()

    def read():
        while not done.is_set():
            snapshot = registry.snapshot
            found = {snapshot.resolve("adapter", name).provider for name in names}
            if len(found) != 1:
                torn.append(found)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(60):
            new, old = ("odd", "even") if number % 2 == 0 else ("even", "odd")
            registry.amend(
                STREAM,
                [candidate(name, new) for name in names],
                [dropped(name, old) for name in names],
                order=1,
            )
    finally:
        done.set()
        reader.join()
    assert torn == []
