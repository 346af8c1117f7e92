"""The order is total, equal on every node, and the one that is written down."""

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oneiric_hookspecs import Candidate, Key, Request, Source
from packaging.version import InvalidVersion, Version

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
KEY = Key.of("adapter", "cache")
SOURCES = [
    (Source("b1", "builtin"), 0),
    (Source("b2", "builtin"), 0),
    (Source("z", "installed", "dist-a"), 0),
    (Source("a", "installed", "dist-b"), 0),
    (Source("s-late", "stream"), 1),
    (Source("s-early", "stream"), 0),
    (Source("mine", "application"), 0),
]
# What that list says, in the order that the rules give it.
RANKED = ["b1", "b2", "z", "a", "s-early", "s-late", "mine"]


def connect(): ...


def candidate(provider="redis", **more):
    return Candidate(KEY, provider, connect, **more)


candidates = st.builds(
    candidate,
    provider=st.sampled_from(["memory", "redis", "disk"]),
    version=st.sampled_from([None, "odd", "1.9", "1.10", "1.10.0"]),
    priority=st.sampled_from([None, -5, 10, 20]),
    stack_level=st.sampled_from([0, 1]),
)
declared = st.lists(candidates, max_size=7, unique_by=lambda each: (each.provider, each.version))
contents = st.fixed_dictionaries({source.name: declared for source, _ in SOURCES})
stack_orders = st.dictionaries(st.sampled_from(["b1", "dist-b", "mine"]), st.sampled_from([0, 10, 30]))


def version_rank(version):
    if version is None:
        return (0, "")
    try:
        return (2, Version(version))
    except InvalidVersion:
        return (1, version)


def oracle(content, stack_order):
    """Every candidate as (source, place in its source), from weak to strong: the rules, word by word."""
    distributions = {source.name: source.distribution for source, _ in SOURCES}

    def strength(found):
        name, place = found
        each = content[name][place]
        inherited = stack_order.get(name, stack_order.get(distributions[name], 0))
        last_of_provider = max(i for i, other in enumerate(content[name]) if other.provider == each.provider)
        return (
            inherited if each.priority is None else each.priority,
            each.stack_level,
            RANKED.index(name),
            last_of_provider,
            version_rank(each.version),
            place,
        )

    return sorted(((name, place) for name in content for place in range(len(content[name]))), key=strength)


def fill(registry, content, arrival):
    for number in arrival:
        source, order = SOURCES[number]
        registry.replace(source, content[source.name], order=order)
    return registry.snapshot


def told(snapshot):
    rows = snapshot.decide(Request(KEY)).rows
    return [(row.source.name, row.candidate.provider, row.candidate.version) for row in rows]


@unhurried
@given(contents, stack_orders, st.permutations(range(len(SOURCES))))
def test_order_is_the_one_written_down_whoever_comes_first(new_registry, content, stack_order, arrival):
    """Selection aside: priority, stack level, registration; and who answered first over the network plays no part."""
    expected = [
        (name, content[name][place].provider, content[name][place].version)
        for name, place in reversed(oracle(content, stack_order))
    ]

    snapshot = fill(new_registry(stack_order=stack_order), content, arrival)

    assert told(snapshot) == expected
    winner = snapshot.decide(Request(KEY)).winner
    assert (winner is None) == (not expected)
    if expected:
        assert snapshot.resolve(*KEY) is winner is snapshot.decide(Request(KEY)).rows[0].candidate


@unhurried
@given(contents, stack_orders)
def test_a_stack_order_that_comes_later_is_the_same(new_registry, content, stack_order):
    """Setting the stack order afterwards decides as setting it at first."""
    early, late = new_registry(stack_order=stack_order), new_registry()
    fill(early, content, range(7))
    fill(late, content, range(7))
    late.snapshot.decide(Request(KEY))

    late.set_stack_order(stack_order)

    assert told(late.snapshot) == told(early.snapshot)


@unhurried
@given(contents, st.data())
def test_one_by_one_is_the_same_as_all_at_once(new_registry, content, data):
    """Registering candidates one call each, sources interleaved, gives what replacing each source gives."""
    whole, single = new_registry(), new_registry()
    fill(whole, content, range(7))
    left = {source: (order, list(content[source.name])) for source, order in SOURCES if content[source.name]}
    while left:
        source = data.draw(st.sampled_from(sorted(left, key=lambda each: each.name)))
        order, waiting = left[source]
        single.register(source, waiting.pop(0), order=order)
        if not waiting:
            del left[source]

    assert single.snapshot.records(KEY) == whole.snapshot.records(KEY)


@unhurried
@given(st.lists(st.sampled_from([None, "1", "2", "3"]), min_size=20, max_size=60), st.data())
def test_a_full_shelf_is_ordered_as_a_small_one(new_registry, versions, data):
    """Above a few candidates writers keep an index; what they register is the same."""
    wanted = dict.fromkeys((f"p{data.draw(st.integers(0, 12))}", version) for version in versions)
    each = [candidate(provider, version=version) for provider, version in wanted]
    whole, single = new_registry(), new_registry()
    whole.replace(SOURCES[0][0], each)
    for one in each:
        single.register(SOURCES[0][0], one)
        single.register(SOURCES[0][0], attrs.evolve(one))

    assert single.snapshot.records(KEY) == whole.snapshot.records(KEY)


def test_application_sources_rank_by_first_appearance(registry):
    """The one seen first ranks lowest, also when it went and came back."""
    first, second = Source("zebra"), Source("ant")
    registry.replace(first, [candidate("memory")])
    registry.replace(second, [candidate("redis")])
    registry.withdraw("zebra")
    registry.replace(first, [candidate("disk")])

    assert [record.source.name for record in registry.snapshot.records(KEY)] == ["zebra", "ant"]
    assert registry.snapshot.resolve(*KEY).provider == "redis"


def test_a_stream_that_gets_another_place_takes_its_candidates_along(registry):
    """The settings' order of streams is theirs to change."""
    one, other = Source("one", "stream"), Source("other", "stream")
    registry.replace(one, [candidate("memory")], order=0)
    registry.replace(other, [candidate("redis")], order=1)
    assert registry.snapshot.resolve(*KEY).provider == "redis"

    registry.replace(one, [candidate("memory")], order=2)

    assert registry.snapshot.resolve(*KEY).provider == "memory"


def test_a_replaced_identity_keeps_its_place(registry):
    """Declaring a candidate again with other facts is no way to the top."""
    app = Source("app")
    registry.register(app, candidate("memory"), candidate("redis"))
    change = registry.register(app, candidate("memory", summary="now with a lid"))

    assert [(each.candidate.provider, each.sequence) for each in registry.snapshot.records(KEY)] == [
        ("memory", 0),
        ("redis", 1),
    ]
    assert registry.snapshot.records(KEY)[0].candidate.summary == "now with a lid"
    assert set(change.keys) == {KEY}
    assert change.won == ()


def test_a_replaced_identity_keeps_its_place_among_many(registry):
    """The same where writers keep an index."""
    app = Source("app")
    registry.register(app, *[candidate(f"p{number}") for number in range(40)])
    registry.register(app, candidate("p40"))
    replaced = registry.snapshot.records(KEY)[7].candidate
    registry.register(app, candidate("p7", summary="again"))
    registry.register(app, candidate("p7", summary="and again"))
    assert id(replaced) not in registry._indexes[KEY][1]  # or another object at its address would pass for it

    providers = [each.candidate.provider for each in registry.snapshot.records(KEY)]
    assert providers == [f"p{number}" for number in range(41)]
    assert registry.snapshot.records(KEY)[7].candidate.summary == "and again"


def test_a_lower_version_declared_later_does_not_win(registry):
    """Of one provider in one source the higher version wins, and versions are no texts."""
    registry.replace(
        Source("app"), [candidate(version="1.10"), candidate("memory"), candidate(version="1.9")]
    )

    order = [(each.candidate.provider, each.candidate.version) for each in registry.snapshot.records(KEY)]
    assert order == [("memory", None), ("redis", "1.9"), ("redis", "1.10")]
    assert registry.snapshot.resolve(*KEY).version == "1.10"


def test_versions_of_two_sources_are_not_compared(registry):
    """A later source wins over an earlier one's higher version: its author meant it."""
    registry.replace(Source("app"), [candidate(version="1")])
    registry.replace(Source("plugin", "installed", "dist"), [candidate(version="2")])

    assert registry.snapshot.resolve(*KEY).version == "1"


def test_one_object_of_two_sources_is_two_candidates(registry):
    """Who declared it is told apart even if the very same object was declared twice."""
    shared = candidate()
    registry.register(Source("one"), shared)
    registry.register(Source("two"), shared)
    registry.replace(Source("three"), [shared])

    rows = registry.snapshot.decide(Request(KEY)).rows
    assert [row.source.name for row in rows] == ["three", "two", "one"]
    assert [registry.snapshot.source(row.candidate).name for row in rows] == ["three", "two", "one"]


def test_one_object_of_two_sources_among_many(registry):
    """The same where writers keep an index."""
    registry.register(Source("one"), *[candidate(f"p{number}") for number in range(20)])
    shared = registry.snapshot.records(KEY)[5].candidate
    registry.register(Source("two"), shared)

    decision = registry.snapshot.decide(Request(KEY))
    assert decision.rows[0].source.name == "two"
    assert {row.source.name for row in decision.rows[1:]} == {"one"}


@unhurried
@given(contents, st.data())
def test_deciding_is_pure(new_registry, content, data):
    """The same snapshot and request give an equal decision, whatever else happened in between."""
    registry = new_registry()
    snapshot = fill(registry, content, range(7))
    request = Request(KEY, data.draw(st.sampled_from([None, "redis", "nobody"])))
    before = snapshot.decide(request)

    registry.withdraw("mine")
    registry.register(Source("newcomer"), candidate("memory", priority=99))
    registry.pin(KEY, "memory")
    registry.decide_anew()

    assert snapshot.decide(request) == before
    assert str(snapshot.decide(request).error) == str(before.error)


def test_the_default_of_a_key_is_kept_and_its_variants_are_not(registry):
    """Explaining twice costs once: it is the same object."""
    registry.register(Source("app"), candidate())
    snapshot = registry.snapshot

    assert snapshot.decide(Request(KEY)) is snapshot.decide(Request(KEY))
    assert snapshot.decide(Request(KEY)).winner is snapshot.resolve(*KEY)


@pytest.mark.parametrize("kind", ["builtin", "installed", "stream"])
def test_an_unrelated_change_touches_no_decision(registry, kind):
    """A decision stands as long as what it stands on."""
    registry.register(Source("app"), candidate())
    decision = registry.snapshot.decide(Request(KEY))

    registry.register(Source("other", kind), Candidate(Key.of("adapter", "queue"), "memory", connect))

    assert registry.snapshot.decide(Request(KEY)) is decision
