"""Sources are replaced whole, snapshots stay what they are, and a change says what it changed."""

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from oneiric_hookspecs import (
    Candidate,
    Key,
    PluginError,
    Request,
    ResolutionError,
    Selection,
    SelectionUnsatisfied,
    Source,
)

from oneiric.registry import Record

KEY, QUEUE, MAIL = Key.of("adapter", "cache"), Key.of("adapter", "queue"), Key.of("service", "mail")
APP, SHOP = Source("app"), Source("shop", "installed", "shop-plugins")


def connect(): ...


def candidate(provider="redis", key=KEY, **more):
    return Candidate(key, provider, connect, **more)


def providers(snapshot, key=KEY):
    return [record.candidate.provider for record in snapshot.records(key)]


# --- sources ----------------------------------------------------------------------------------------------------


def test_a_source_is_replaced_whole(registry):
    """What it no longer declares is gone, in all keys, and nobody else's."""
    registry.replace(APP, [candidate("memory"), candidate(key=QUEUE), candidate(key=MAIL)])
    registry.register(SHOP, candidate("disk", key=QUEUE))

    change = registry.replace(APP, [candidate("memory2"), candidate(key=MAIL)])

    assert set(change.keys) == {KEY, QUEUE}
    assert providers(change.before) == ["memory"]
    assert providers(change.before, QUEUE) == ["disk", "redis"]
    assert providers(change.after) == ["memory2"]
    assert providers(change.after, QUEUE) == ["disk"]
    assert change.after.keys() == (KEY, QUEUE, MAIL)
    assert change.after.sources == (SHOP, APP)


def test_a_source_stays_among_the_others(registry):
    """Replacing the middle one does not lift it to the top."""
    middle = Source("feed", "stream")
    registry.replace(APP, [candidate("mine")])
    registry.replace(middle, [candidate("one"), candidate("two")])
    registry.replace(SHOP, [candidate("disk")])

    registry.replace(middle, [candidate("two"), candidate("three"), candidate("one")])

    assert providers(registry.snapshot) == ["disk", "two", "three", "one", "mine"]


def test_what_is_equal_is_unchanged(registry):
    """Declaring the same again makes no revision, and tells nobody."""
    changes = []
    registry.replace(APP, [candidate("memory"), candidate(), candidate(key=QUEUE)])
    snapshot = registry.snapshot
    registry.on_change(changes.append)

    change = registry.replace(APP, [candidate("memory"), candidate(), candidate(key=QUEUE)])
    registry.register(APP, candidate())

    assert registry.snapshot is snapshot is change.before is change.after
    assert (list(change.keys), change.won, changes) == ([], (), [])


@pytest.mark.parametrize(
    "facts",
    [{"factory": dict}, {"health": bool}, {"close": "stop"}, {"summary": "other"}],
    ids=lambda each: next(iter(each)),
)
def test_what_differs_in_anything_is_changed(registry, facts):
    """Also in what plays no part in the equality of candidates."""
    registry.replace(APP, [candidate("memory"), candidate()])

    for call in (registry.replace, lambda source, each: registry.register(source, *each)):
        change = call(APP, [candidate("memory"), attrs.evolve(candidate(), **facts)])
        assert list(change.keys) == [KEY]
        assert getattr(change.after.resolve(*KEY), next(iter(facts))) == next(iter(facts.values()))
        registry.replace(APP, [candidate("memory"), candidate()])


def test_withdrawing(registry):
    """A whole source, what it has for a key, or one provider of it."""
    registry.replace(
        APP, [candidate("memory"), candidate(version="1"), candidate(version="2"), candidate(key=MAIL)]
    )
    registry.replace(SHOP, [candidate("redis")])

    assert list(registry.withdraw("app", key=KEY, provider="redis").keys) == [KEY]
    assert providers(registry.snapshot) == ["redis", "memory"]
    assert list(registry.withdraw("app", key=KEY).keys) == [KEY]
    assert list(registry.withdraw("app", provider="redis").keys) == [MAIL]
    assert registry.snapshot.sources == (SHOP, APP)
    assert list(registry.withdraw("app").keys) == []
    assert registry.snapshot.sources == (SHOP,)
    assert list(registry.withdraw("shop").keys) == [KEY]
    assert (registry.snapshot.keys(), registry.snapshot.sources) == ((), ())
    assert registry.withdraw("nobody").after is registry.snapshot


def test_coming_and_going_leaves_nothing_behind(registry):
    """A key that comes and goes takes no more room each time, and is found each time."""
    registry.register(APP, candidate(key=MAIL))
    for _ in range(500):
        registry.register(APP, candidate())
        registry.withdraw("app", key=KEY)
    registry.register(APP, candidate())

    assert len(registry._stands["app"]) < 100
    registry.withdraw("app")
    assert registry.snapshot.keys() == ()
    assert registry.snapshot.shelves == {}


def test_what_writers_remember_of_a_full_key_goes_with_it(registry):
    """No index outlives what it is about."""
    registry.register(APP, *[candidate(f"p{number}") for number in range(30)])
    registry.register(APP, candidate("more"))
    assert list(registry._indexes) == [KEY]

    registry.withdraw("app", key=KEY, provider="p3")
    assert registry._indexes == {}
    registry.register(APP, candidate("p3"))
    assert [each for each in providers(registry.snapshot) if each == "p3"] == ["p3"]


def test_records_say_who_and_where(registry):
    registry.register(APP, candidate("memory"), candidate())

    memory, redis = candidate("memory"), candidate()
    assert registry.snapshot.records(KEY) == (Record(memory, APP, 0), Record(redis, APP, 1))
    assert registry.snapshot.records(QUEUE) == ()
    with pytest.raises(LookupError, match="adapter:cache 'redis' is not registered"):
        registry.snapshot.source(redis)


# --- what a change says -----------------------------------------------------------------------------------------


def test_a_change_tells_whose_winner_is_another(registry):
    """After publication, without a lock held, and only for the keys whose winner changed."""
    told = []

    def on_change(change):
        assert change.after is registry.snapshot
        registry.on_change(print)  # takes the lock, as any call would
        told.append(
            [
                (
                    each.key,
                    each.before and each.before.winner.provider,
                    each.after.winner and each.after.winner.provider,
                )
                for each in change.won
            ]
        )

    registry.register(APP, candidate("memory", key=QUEUE))
    registry.on_change(on_change)
    registry._callbacks = (on_change,)
    registry.register(APP, candidate())
    registry._callbacks = (on_change,)
    registry.replace(APP, [candidate("memory"), candidate(), candidate("kafka", key=QUEUE)])
    registry._callbacks = (on_change,)
    registry.pin(KEY, "memory")
    registry._callbacks = (on_change,)
    registry.withdraw("app", key=KEY)

    assert told == [
        [(KEY, None, "redis")],
        [(QUEUE, "memory", "kafka")],
        [(KEY, "redis", "memory")],
        [(KEY, "memory", None)],
    ]


def test_a_key_that_appears_and_is_filled_by_nobody_has_no_new_winner(registry):
    """None before and None after is no change of winner."""
    change = registry.register(APP, candidate(platforms={"plan9"}))

    assert list(change.keys) == [KEY]
    assert change.won == ()


def test_bulk_changes_decide_nothing(new_registry):
    """Who wins is worked out for those who ask."""
    from oneiric_hookspecs import hookimpl

    asked = []

    @hookimpl
    def oneiric_check_eligible(candidate):
        asked.append(candidate.key)

    registry = new_registry(oneiric_check_eligible)
    registry.replace(APP, [candidate(key=Key.of("adapter", f"k{number}")) for number in range(100)])
    assert asked == []
    registry.snapshot.resolve("adapter", "k7")
    registry.snapshot.resolve("adapter", "k7")
    assert asked == [Key.of("adapter", "k7")]


def test_deciding_anew(new_registry):
    """When the plugins that decide are others, decisions are made again; old snapshots are asked for old decisions."""
    from oneiric_hookspecs import hookimpl

    weekday = ["monday"]

    @hookimpl
    def oneiric_select():
        return Selection("memory" if weekday == ["monday"] else "redis")

    registry = new_registry(oneiric_select)
    registry.register(APP, candidate("memory"), candidate())
    assert registry.snapshot.resolve(*KEY).provider == "memory"
    weekday[:] = ["tuesday"]
    assert registry.snapshot.resolve(*KEY).provider == "memory"

    change = registry.decide_anew()

    assert registry.snapshot.resolve(*KEY).provider == "redis"
    assert [each.key for each in change.won] == [KEY]


# --- orders -----------------------------------------------------------------------------------------------------


def test_selections_are_set_whole(registry):
    """What the settings no longer say is no longer selected."""
    registry.register(
        APP, candidate("memory"), candidate(), candidate("memory", key=QUEUE), candidate(key=QUEUE)
    )
    registry.select({KEY: "memory"})

    change = registry.select({QUEUE: "memory"})

    assert set(change.keys) == {KEY, QUEUE}
    assert change.after.selections == {QUEUE: "memory"}
    assert registry.select({QUEUE: "memory"}).after is change.after
    assert change.after.resolve(*KEY).provider == "redis"
    assert change.after.resolve(*QUEUE).provider == "memory"


def test_pins_come_and_go(registry):
    registry.register(APP, candidate("memory"), candidate())
    registry.pin(KEY, "memory", reason="a test")

    assert registry.snapshot.pins == {KEY: Selection("memory", "a pin", "a test")}
    assert registry.pin(KEY, "memory", reason="a test").after is registry.snapshot
    registry.unpin(KEY)
    assert registry.snapshot.pins == {}
    assert registry.snapshot.resolve(*KEY).provider == "redis"
    assert registry.unpin(KEY).after is registry.snapshot


def test_a_stack_order_changes_only_what_it_matters_to(registry):
    """By package, by the source's name, or by its distribution."""
    packaged = Source("p", "installed", "d", package="acme")
    registry.register(packaged, candidate("memory"))
    registry.register(APP, candidate(), candidate(key=QUEUE))

    assert list(registry.set_stack_order({"acme": 5}).keys) == [KEY]
    assert registry.snapshot.resolve(*KEY).provider == "memory"
    assert registry.set_stack_order({"acme": 5}).after is registry.snapshot
    assert list(registry.set_stack_order({"acme": 5, "other": 9}).keys) == []
    assert set(registry.set_stack_order({"acme": 5, "app": 9}).keys) == {KEY, QUEUE}
    assert registry.snapshot.stack_order == {"acme": 5, "app": 9}
    assert registry.snapshot.resolve(*KEY).provider == "redis"


def test_a_candidate_that_comes_after_the_stack_order(registry):
    """The order in force when it comes is the one that counts, on a shelf that was there before too."""
    registry.register(APP, candidate(priority=1))
    registry.set_stack_order({"shop-plugins": 2})
    registry.register(SHOP, candidate("memory"))

    assert registry.snapshot.resolve(*KEY).provider == "memory"


# --- what if ----------------------------------------------------------------------------------------------------


def facts(snapshot):
    return (
        snapshot.revision,
        snapshot.keys(),
        {key: (snapshot.records(key), snapshot.decide(Request(key))) for key in iter(snapshot.keys())},
        snapshot.sources,
        dict(snapshot.pins),
        dict(snapshot.selections),
        dict(snapshot.stack_order),
    )


SUPPOSED = [
    (
        {"add": (APP, [candidate("kafka", key=QUEUE)])},
        lambda r: r.register(APP, candidate("kafka", key=QUEUE)),
    ),
    ({"add": (Source("new"), [candidate("new")])}, lambda r: r.register(Source("new"), candidate("new"))),
    (
        {"add": (Source("feed", "stream"), [candidate("new")]), "order": 3},
        lambda r: r.register(Source("feed", "stream"), candidate("new"), order=3),
    ),
    ({"withdraw": "app"}, lambda r: r.withdraw("app")),
    ({"withdraw": ["shop", "app"]}, lambda r: (r.withdraw("shop"), r.withdraw("app"))),
    ({"withdraw": [("app", KEY)]}, lambda r: r.withdraw("app", key=KEY)),
    ({"withdraw": [("app", KEY, "redis")]}, lambda r: r.withdraw("app", key=KEY, provider="redis")),
    ({"withdraw": "app", "add": (APP, [candidate("lru")])}, lambda r: r.replace(APP, [candidate("lru")])),
    ({"pins": {KEY: "memory"}}, lambda r: r.pin(KEY, "memory")),
    ({"pins": {MAIL: None}}, lambda r: r.unpin(MAIL)),
    ({"pins": {Key.of("adapter", "new"): "x"}}, lambda r: r.pin(Key.of("adapter", "new"), "x")),
    ({"selections": {KEY: "memory"}}, lambda r: r.select({KEY: "memory"})),
    ({"selections": {}}, lambda r: r.select({})),
    ({"on_missing": "fallback"}, lambda r: r.select({QUEUE: "gone"}, on_missing="fallback")),
    ({"stack_order": {"shop-plugins": 100}}, lambda r: r.set_stack_order({"shop-plugins": 100})),
    ({}, lambda r: None),
]


def settled(new_registry):
    registry = new_registry()
    registry.replace(SHOP, [candidate("memory"), candidate(key=MAIL), candidate("smtp", key=MAIL)])
    registry.replace(APP, [candidate("disk"), candidate(), candidate(key=QUEUE)])
    registry.pin(MAIL, "redis")
    registry.select({QUEUE: "gone"})
    return registry


@pytest.mark.parametrize(
    ("supposed", "done"), SUPPOSED, ids=lambda each: " ".join(each) if isinstance(each, dict) else ""
)
def test_what_if_says_what_would_be(new_registry, supposed, done):
    """It decides as the registry would after the same calls, and the registry and its snapshot stay as they are."""
    registry = settled(new_registry)
    before = facts(registry.snapshot)
    snapshot = registry.snapshot

    guess = snapshot.what_if(**supposed)

    assert registry.snapshot is snapshot
    assert facts(snapshot) == before
    done(registry)
    told, truth = facts(guess), facts(registry.snapshot)
    assert told[1] == truth[1]
    assert guess.compare(registry.snapshot) == ()
    assert told[3:] == truth[3:]
    for key in (*told[1], Key.of("adapter", "new")):
        outcomes = []
        for each in (guess, registry.snapshot):
            try:
                outcomes.append(each.resolve(*key).provider)
            except ResolutionError as error:
                outcomes.append(str(error))
        assert outcomes[0] == outcomes[1]
    assert {each.key for each in snapshot.compare(guess)} == {
        each.key for each in snapshot.compare(registry.snapshot)
    }


def test_what_if_upon_what_if(new_registry):
    """Suppositions can be made one upon another."""
    snapshot = settled(new_registry).snapshot

    first = snapshot.what_if(pins={KEY: "memory"})
    second = first.what_if(withdraw="app")

    assert second.resolve(*KEY).provider == "memory"
    assert second.keys() == (KEY, MAIL)
    assert first.keys() == snapshot.keys() == (KEY, QUEUE, MAIL)
    assert second.pins == first.pins


def test_what_if_of_an_old_snapshot(new_registry):
    """What is supposed about the past stands on the past."""
    registry = settled(new_registry)
    old = registry.snapshot
    guess = old.what_if(pins={KEY: "memory"})
    registry.withdraw("shop")
    registry.withdraw("app")

    assert guess.resolve(*KEY).provider == "memory"
    assert guess.resolve(*MAIL).provider == "redis"
    assert old.what_if(withdraw="app").keys() == (KEY, MAIL)


def test_compare_says_what_is_decided_otherwise(new_registry):
    """For a plan: each key with the decision before and after; what only has another revision is left out."""
    registry = settled(new_registry)
    snapshot = registry.snapshot
    plan = snapshot.compare(
        snapshot.what_if(withdraw=[("app", QUEUE)], pins={KEY: "memory"}, add=(APP, [candidate("x")]))
    )

    assert [(each.key, each.won) for each in plan] == [(KEY, True), (QUEUE, False)]
    assert [(row.before.winner, row.after) for row in plan[1:]] == [(None, None)]
    assert (plan[0].before.winner.provider, plan[0].after.winner.provider) == ("redis", "memory")
    registry.decide_anew()
    assert snapshot.compare(registry.snapshot) == ()


def test_choosing_is_resolving_with_options(registry):
    """The winner alone, or the error that ``decide`` has."""
    registry.register(APP, candidate("memory"), candidate())

    assert registry.snapshot.choose(Request(KEY)) is registry.snapshot.resolve(*KEY)
    assert registry.snapshot.choose(Request(KEY, "memory")).provider == "memory"
    with pytest.raises(SelectionUnsatisfied, match="'redsi'"):
        registry.snapshot.choose(Request(KEY, "redsi"))


# --- old snapshots ----------------------------------------------------------------------------------------------

SOURCES = {source.name: source for source in (APP, SHOP, Source("feed", "stream"), Source("core", "builtin"))}
RANKED = ["core", "shop", "feed", "app"]
KEYS = [KEY, QUEUE, MAIL]
one_candidate = st.builds(
    candidate, st.sampled_from("abcd"), st.sampled_from(KEYS), priority=st.integers(0, 1)
)
some_candidates = st.lists(one_candidate, max_size=6, unique_by=lambda each: (each.key, each.provider))


def test_every_snapshot_stays_what_it_was(new_registry):
    """Whatever is called in whatever order, each snapshot goes on telling what held when it was made."""

    class Machine(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            self.registry = new_registry()
            self.model = {name: {} for name in RANKED}  # source -> (key, provider) -> candidate
            self.held = []

        def expected(self):
            return {
                key: [
                    (name, each.provider, each.priority)
                    for name in RANKED
                    for (at, _), each in self.model[name].items()
                    if at == key
                ]
                for key in KEYS
            }

        @staticmethod
        def told(snapshot):
            return {
                key: [
                    (each.source.name, each.candidate.provider, each.candidate.priority)
                    for each in snapshot.records(key)
                ]
                for key in KEYS
            }

        @rule(name=st.sampled_from(RANKED), each=some_candidates)
        def replace(self, name, each):
            self.registry.replace(SOURCES[name], each)
            self.model[name] = {(one.key, one.provider): one for one in each}

        @rule(name=st.sampled_from(RANKED), each=some_candidates)
        def register(self, name, each):
            self.registry.register(SOURCES[name], *each)
            self.model[name].update({(one.key, one.provider): one for one in each})

        @rule(name=st.sampled_from(RANKED))
        def withdraw(self, name):
            self.registry.withdraw(name)
            self.model[name] = {}

        @rule(name=st.sampled_from(RANKED), key=st.sampled_from(KEYS))
        def withdraw_key(self, name, key):
            self.registry.withdraw(name, key=key)
            self.model[name] = {at: each for at, each in self.model[name].items() if at[0] != key}

        @rule(name=st.sampled_from(RANKED), provider=st.sampled_from("abcd"))
        def withdraw_provider(self, name, provider):
            self.registry.withdraw(name, provider=provider)
            self.model[name] = {at: each for at, each in self.model[name].items() if at[1] != provider}

        @rule(key=st.sampled_from(KEYS))
        def pin(self, key):
            self.registry.pin(key, "a")

        @rule(key=st.sampled_from(KEYS))
        def unpin(self, key):
            self.registry.unpin(key)

        @rule(times=st.sampled_from([1, 100]))
        def let_time_pass(self, times):
            for _ in range(times):
                self.registry.decide_anew()

        @rule()
        def hold(self):
            self.held.append((self.registry.snapshot, self.expected()))

        @invariant()
        def nothing_moved(self):
            for snapshot, expected in [*self.held, (self.registry.snapshot, self.expected())]:
                assert self.told(snapshot) == expected
                assert snapshot.keys() == tuple(sorted(key for key in KEYS if expected[key]))

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


def test_an_old_snapshot_holds_none_of_those_between(registry):
    """Reading an old one brings the way together; it keeps what changed, not every step."""
    registry.register(APP, candidate("first"))
    old = registry.snapshot
    for number in range(300):
        registry.register(APP, candidate("first", summary=str(number)))

    assert (old.resolve(*KEY).summary, old.records(QUEUE)) == ("", ())
    assert old.past[1] is registry.snapshot
    assert len(old.past[0]) == 1


def test_an_error_names_the_source_of_plugins_and_others_alike(registry):
    with pytest.raises(PluginError, match=r"^plugin shop: "):
        registry.replace(SHOP, [3])
    with pytest.raises(PluginError, match=r"^source app: "):
        registry.replace(APP, [3])
