"""Every row says why, with both values, and what would make it win; and that is true."""

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oneiric_hookspecs import (
    Candidate,
    Decision,
    Key,
    Markers,
    NoCandidate,
    Request,
    Selection,
    SelectionUnsatisfied,
    Source,
)

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
KEY = Key.of("adapter", "cache")
APP, SHOP = Source("app"), Source("shop")


def connect(): ...


def candidate(provider="redis", **more):
    return Candidate(KEY, provider, connect, **more)


def said(registry, request=None):
    decision = registry.snapshot.decide(request or Request(KEY))
    return [
        (row.candidate.provider, row.standing, row.tier, row.reason, row.would_win_if)
        for row in decision.rows
    ]


def test_the_only_candidate(registry):
    registry.register(APP, candidate())

    assert said(registry) == [("redis", "selected", "only one", "the only candidate", "")]


def test_priority(registry):
    """Where all below is weaker too, it takes more than the winner has."""
    registry.register(APP, candidate("memory", priority=10), candidate(priority=20))

    assert said(registry) == [
        ("redis", "selected", "priority", "highest priority (20)", ""),
        ("memory", "shadowed", "priority", "priority 10 < 20 of redis", "priority above 20"),
    ]


def test_priority_where_being_level_is_enough(registry):
    """Who was registered later needs no more than the winner has."""
    registry.register(APP, candidate(priority=20), candidate("memory", priority=10))

    assert said(registry)[1] == (
        "memory",
        "shadowed",
        "priority",
        "priority 10 < 20 of redis",
        "priority at least 20",
    )


def test_inherited_priority(registry):
    """A priority from the stack order reads like any other."""
    registry.register(SHOP, candidate("memory"))
    registry.register(APP, candidate())
    registry.set_stack_order({"shop": 100})

    assert said(registry)[0][3] == "highest priority (100)"
    assert said(registry)[1][3:] == ("priority 0 < 100 of memory", "priority at least 100")


def test_stack_level(registry):
    registry.register(APP, candidate("memory"), candidate(stack_level=1))

    assert said(registry) == [
        ("redis", "selected", "stack level", "highest stack level (1)", ""),
        ("memory", "shadowed", "stack level", "stack level 0 < 1 of redis", "stack level above 1"),
    ]


def test_stack_level_where_being_level_is_enough(registry):
    registry.register(APP, candidate(stack_level=1), candidate("memory"))

    assert said(registry)[1][4] == "stack level at least 1"


def test_registration_order(registry):
    registry.register(APP, candidate("memory"), candidate())

    assert said(registry) == [
        ("redis", "selected", "registration order", "registered last", ""),
        ("memory", "shadowed", "registration order", "registered before redis", "stack level above 0"),
    ]


def test_versions(registry):
    """Two versions of one provider are told apart by their versions."""
    registry.register(APP, candidate(version="1.9"), candidate(version="1.10"), candidate())

    assert [row[3:] for row in said(registry)] == [
        ("highest version (1.10)", ""),
        ("version 1.9 < 1.10", "stack level above 0"),
        ("version unknown < 1.10", "stack level above 0"),
    ]


def test_the_same_provider_of_another_source(registry):
    """A loser is never told that it lost to its own name."""
    registry.register(APP, candidate(), candidate(version="2"))
    registry.register(SHOP, candidate(version="2"))

    assert [row[3] for row in said(registry)] == [
        "registered last",
        "registered before redis from shop",
        "registered before redis 2",
    ]


def test_settings(registry):
    """A selection of the settings; a pin goes above it, too."""
    registry.register(APP, candidate("memory"), candidate())
    registry.select({KEY: "memory"})

    assert said(registry) == [
        ("memory", "selected", "selection", "selected by the settings", ""),
        (
            "redis",
            "shadowed",
            "selection",
            "not memory, which is selected by the settings",
            "a pin or selection of redis",
        ),
    ]


def test_pin(registry):
    """A pin goes above the settings, so a selection would not help."""
    registry.register(APP, candidate("memory"), candidate())
    registry.select({KEY: "redis"})
    registry.pin(KEY, "memory", reason="redis is being moved")

    assert said(registry) == [
        ("memory", "selected", "selection", "selected by a pin (redis is being moved)", ""),
        ("redis", "shadowed", "selection", "not memory, which is selected by a pin", "a pin of redis"),
    ]


def test_call(registry):
    """A call goes above everything."""
    registry.register(APP, candidate("memory"), candidate())
    registry.pin(KEY, "redis")

    assert said(registry, Request(KEY, "memory")) == [
        ("memory", "selected", "selection", "selected by the call", ""),
        ("redis", "shadowed", "selection", "not memory, which is selected by the call", "a call for redis"),
    ]
    assert registry.snapshot.resolve(*KEY).provider == "redis"


def test_among_several_of_the_selected_provider_the_order_applies(registry):
    """And what is not selected may need more than to be selected."""
    registry.register(APP, candidate("memory"), candidate(), candidate("memory", version="2"))
    registry.register(SHOP, candidate(priority=5))
    registry.pin(KEY, "memory")

    assert said(registry) == [
        ("memory", "selected", "selection", "selected by a pin; of its candidates, highest version (2)", ""),
        ("memory", "shadowed", "registration order", "version unknown < 2", "stack level above 0"),
        ("redis", "shadowed", "selection", "not memory, which is selected by a pin", "a pin of redis"),
        (
            "redis",
            "shadowed",
            "selection",
            "not memory, which is selected by a pin",
            "a pin of redis and priority above 5",
        ),
    ]


def test_a_selecting_plugin(new_registry):
    """A plugin's preference bears its name and reason, and gives way to anybody's word."""

    def oneiric_select(candidates):
        asked.append([each.provider for each in candidates])
        return Selection("memory", reason="nearest region")

    from oneiric_hookspecs import hookimpl

    asked = []
    registry = new_registry(hookimpl(oneiric_select))
    registry.register(APP, candidate("memory"), candidate(), candidate("disk", platforms={"plan9"}))

    assert said(registry)[:2] == [
        ("memory", "selected", "selection", "selected by lab (nearest region)", ""),
        (
            "redis",
            "shadowed",
            "selection",
            "not memory, which is selected by lab",
            "a pin or selection of redis",
        ),
    ]
    assert asked == [["memory", "redis"]]

    registry.select({KEY: "redis"})
    assert registry.snapshot.resolve(*KEY).provider == "redis"
    registry.select({})
    registry.pin(KEY, "redis")
    assert registry.snapshot.resolve(*KEY).provider == "redis"
    assert registry.snapshot.decide(Request(KEY, "redis")).winner.provider == "redis"
    assert len(asked) == 1


# --- who is left out --------------------------------------------------------------------------------------------

HERE = Markers("linux", "3.11.7", {"redis": "4.6", "attrs": "24.2.0", "beta": "2.0b1"})

LEFT_OUT = [
    ({"platforms": {"darwin", "win32"}}, "eligibility: runs on darwin, win32, and this is linux", ""),
    ({"distributions": ("nowhere",)}, "eligibility: nowhere is not installed", "nowhere installed"),
    (
        {"distributions": ("redis>=5",)},
        "eligibility: needs redis>=5, and redis 4.6 is installed",
        "redis>=5 installed",
    ),
    (
        {"distributions": ("redis >> 5",)},
        "eligibility: 'redis >> 5' is not a requirement, such as redis>=5",
        "",
    ),
    ({}, "eligibility: cannot do cluster, ttl", ""),
    (
        {"platforms": {"darwin"}, "capabilities": {"ttl", "cluster"}, "distributions": ("nowhere",)},
        "eligibility: runs on darwin, and this is linux; eligibility: nowhere is not installed",
        "",
    ),
]


@pytest.mark.parametrize(("facts", "reason", "remedy"), LEFT_OUT)
def test_left_out(new_registry, facts, reason, remedy):
    """What cannot run here, or do what was asked, is left out with the reason, and what would help."""
    registry = new_registry(markers=HERE)
    registry.register(APP, candidate(**facts))
    request = Request(KEY, capabilities={"ttl", "cluster"} if "cannot do" in reason else ())

    assert said(registry, request) == [("redis", "excluded", "excluded", reason, remedy)]
    decision = registry.snapshot.decide(request)
    assert decision.winner is None
    assert isinstance(decision.error, NoCandidate)
    assert str(decision.error).splitlines() == [
        "no candidate fills adapter:cache",
        f"  left out: redis: {reason}",
    ]
    assert decision.error.decision is decision


FITS = [
    {"platforms": {"linux"}},
    {"distributions": ("redis", "Attrs>=24,<25")},
    {"distributions": ("beta>=1",)},
    {"distributions": ("nowhere; python_version < '3.8'", "other; sys_platform == 'darwin'")},
    {"capabilities": {"ttl"}},
]


@pytest.mark.parametrize("facts", FITS)
def test_not_left_out(new_registry, facts):
    """What fits is considered."""
    registry = new_registry(markers=HERE)
    registry.register(APP, candidate(**facts))
    request = Request(KEY, capabilities=facts.get("capabilities", ()))

    assert registry.snapshot.decide(request).winner.provider == "redis"


def test_being_let_in_is_not_yet_winning(new_registry):
    """What would make an excluded one win is all that it takes."""
    registry = new_registry(markers=HERE)
    registry.register(APP, candidate(distributions=("redis>=5",)), candidate("memory", priority=3))

    assert said(registry)[1][3:] == (
        "eligibility: needs redis>=5, and redis 4.6 is installed",
        "redis>=5 installed and priority above 3",
    )
    remedy = registry.snapshot.decide(Request(KEY)).rows[1].remedy
    assert remedy.lifts == ("redis>=5 installed",)
    assert str(remedy.then) == "priority above 3"


def test_quarantine(registry):
    """A candidate in quarantine is left out until it is released; its other versions are not."""
    registry.register(APP, candidate(version="1"), candidate(version="2"))
    registry.quarantine(KEY, ("app", "redis", "2"), "rolled back at noon")

    assert said(registry)[1] == (
        "redis",
        "excluded",
        "excluded",
        "eligibility: in quarantine: rolled back at noon",
        "a release from quarantine",
    )
    assert registry.snapshot.resolve(*KEY).version == "1"
    assert registry.snapshot.quarantine(KEY) == {("app", "redis", "2"): "rolled back at noon"}

    assert registry.quarantine(KEY, ("app", "redis", "2"), "rolled back at noon").after is registry.snapshot

    registry.release(KEY, ("app", "redis", "2"))
    assert registry.snapshot.resolve(*KEY).version == "2"
    assert registry.snapshot.quarantine(KEY) == {}


def test_release_by_provider(registry):
    """Releasing a provider releases all its candidates, and no others."""
    registry.register(APP, candidate("memory"), candidate(version="1"), candidate(version="2"))
    for provider, version in [("memory", None), ("redis", "1"), ("redis", "2")]:
        registry.quarantine(KEY, ("app", provider, version), "bad")

    registry.release(KEY, provider="redis")
    assert list(registry.snapshot.quarantine(KEY)) == [("app", "memory", None)]
    registry.release(KEY)
    assert registry.snapshot.quarantine(KEY) == {}


def test_quarantine_outlives_its_candidate(registry):
    """Who comes back is still in quarantine."""
    registry.register(APP, candidate())
    registry.quarantine(KEY, ("app", "redis", None), "bad")
    registry.withdraw("app")
    assert registry.snapshot.keys() == ()
    registry.register(APP, candidate())

    assert registry.snapshot.decide(Request(KEY)).winner is None


# --- selections that come to nothing ----------------------------------------------------------------------------


def test_a_selection_that_is_not_registered(registry):
    """A typo costs one line to diagnose."""
    registry.register(APP, candidate("memory"), candidate())

    decision = registry.snapshot.decide(Request(KEY, "redsi"))

    assert decision.winner is None
    assert type(decision.error) is SelectionUnsatisfied
    assert str(decision.error).splitlines() == [
        "no candidate fills adapter:cache with provider 'redsi' (set by the call)",
        "  did you mean 'redis'?",
        "  registered: memory, redis",
    ]
    assert said(registry, Request(KEY, "redsi")) == [
        ("redis", "shadowed", "selection", "not redsi, which is selected by the call", "a call for redis"),
        ("memory", "shadowed", "selection", "not redsi, which is selected by the call", "a call for memory"),
    ]


def test_a_selection_that_is_left_out(registry):
    """Pinned, and then in quarantine: nobody takes its place behind the operator's back."""
    registry.register(APP, candidate("memory"), candidate())
    registry.select({KEY: "memory"}, on_missing="fallback")
    registry.pin(KEY, "redis")
    registry.quarantine(KEY, ("app", "redis", None), "rolled back at noon")

    with pytest.raises(SelectionUnsatisfied) as caught:
        registry.snapshot.resolve(*KEY)

    assert str(caught.value).splitlines() == [
        (
            "adapter:cache is set to provider 'redis' by a pin, and that is left out: "
            "eligibility: in quarantine: rolled back at noon"
        ),
        "  registered: memory, redis",
    ]
    assert caught.value.because == "eligibility: in quarantine: rolled back at noon"


def test_each_caller_gets_an_error_of_its_own(registry):
    """A decision is kept, and a hundred tracebacks would hang on its error."""
    registry.register(APP, candidate(platforms={"plan9"}))
    errors = []
    for _ in range(2):
        with pytest.raises(NoCandidate) as caught:
            registry.snapshot.resolve(*KEY)
        errors.append(caught.value)

    assert errors[0] is not errors[1]
    assert registry.snapshot.decide(Request(KEY)).error.__traceback__ is None
    assert errors[0].decision is errors[1].decision is registry.snapshot.decide(Request(KEY))


def test_fallback_is_asked_for_and_shown(registry):
    """With on_missing = "fallback" a selection that names nothing registered is passed over, and explain says so."""
    registry.register(APP, candidate("memory"), candidate(priority=7))
    registry.select({KEY: "redsi"}, on_missing="fallback")

    decision = registry.snapshot.decide(Request(KEY))

    assert decision.winner.provider == "redis"
    assert str(decision.because) == "highest priority (7); redsi, set by the settings, is not registered"
    assert registry.snapshot.resolve(*KEY).provider == "redis"


def test_fallback_is_for_the_settings_and_for_what_is_missing(registry):
    """A call, a pin, and a selection that is registered and left out still fail."""
    registry.register(APP, candidate("memory"), candidate(platforms={"plan9"}))
    registry.select({KEY: "redis"}, on_missing="fallback")
    assert type(registry.snapshot.decide(Request(KEY)).error) is SelectionUnsatisfied
    assert type(registry.snapshot.decide(Request(KEY, "redsi")).error) is SelectionUnsatisfied
    registry.pin(KEY, "redsi")
    assert type(registry.snapshot.decide(Request(KEY)).error) is SelectionUnsatisfied


def test_nobody_at_all(registry):
    """An unknown key gets the nearest one that there is, whatever was selected for it."""
    registry.register(APP, candidate())
    registry.pin(Key.of("adapter", "cahce"), "redis")

    with pytest.raises(NoCandidate) as caught:
        registry.snapshot.resolve("adapter", "cahce")

    assert str(caught.value).splitlines() == [
        "no candidate fills adapter:cahce",
        "  did you mean adapter:cache?",
    ]
    assert registry.snapshot.decide(Request(Key.of("service", "shop"))).rows == ()


def test_nobody_at_all_among_many(registry):
    """In a large registry the nearest is found among those that look alike."""
    registry.register(
        APP, *[Candidate(Key.of("adapter", f"part-{number}"), "p", connect) for number in range(3000)]
    )
    registry.register(APP, candidate())

    assert "did you mean adapter:cache?" in str(
        registry.snapshot.decide(Request(Key.of("adapter", "cach"))).error
    )
    assert "did you mean adapter:cache?" in str(
        registry.snapshot.decide(Request(Key.of("adaptr", "cache"))).error
    )
    assert "did you mean" in str(registry.snapshot.decide(Request(Key.of("adapter", "part-30000"))).error)
    assert "registered: " in str(registry.snapshot.decide(Request(Key.of("q", "z"))).error)


# --- what would make it win does --------------------------------------------------------------------------------

candidates = st.builds(
    candidate,
    provider=st.sampled_from(["memory", "redis", "disk"]),
    version=st.sampled_from([None, "1", "2"]),
    priority=st.sampled_from([None, 0, 10, 20]),
    stack_level=st.sampled_from([0, 1]),
)
declared = st.lists(candidates, max_size=5, unique_by=lambda each: (each.provider, each.version))
selections = st.sampled_from([None, "memory", "redis", "gone"])


def apply(registry, row, call, steps, by, short=None):
    """Do what the steps say, and of the one at *short* a little less."""
    changed = row.candidate
    request = Request(KEY, call)
    for place, (kind, value) in enumerate(steps):
        more = (1 if kind.endswith("above") else 0) - (place == short)
        if kind.startswith("priority"):
            changed = attrs.evolve(changed, priority=value + more)
        elif kind.startswith("stack level"):
            changed = attrs.evolve(changed, stack_level=value + more)
        elif place == short:
            continue
        elif kind == "call":
            request = Request(KEY, value)
        elif kind == "pin" or by == "pin":
            registry.pin(KEY, value)
        else:
            registry.select({KEY: value})
    if changed is not row.candidate:
        registry.register(row.source, changed)
    winner = registry.snapshot.decide(request).winner
    return winner is not None and winner == changed and registry.snapshot.source(winner) == row.source


@unhurried
@given(declared, declared, selections, selections, selections, st.sampled_from(["pin", "selection"]))
def test_what_would_make_it_win_does_and_less_does_not(new_registry, one, other, call, pin, chosen, by):
    """Every remedy is tried: with it the candidate wins, and with a step less it does not."""

    def fresh():
        registry = new_registry()
        registry.replace(APP, one)
        registry.replace(SHOP, other)
        registry.select({} if chosen is None else {KEY: chosen})
        if pin is not None:
            registry.pin(KEY, pin)
        return registry

    decision = fresh().snapshot.decide(Request(KEY, call))
    for row in decision.rows:
        if row.candidate is decision.winner:
            assert row.would_win_if == ""
            continue
        steps = row.remedy.steps
        assert row.would_win_if == " and ".join(map(str, steps)) != ""
        assert apply(fresh(), row, call, steps, by)
        for place in range(len(steps)):
            assert not apply(fresh(), row, call, steps, by, short=place)


def test_a_decision_can_be_shown_and_changed():
    """Its rows are made when they are looked at, and it is a value all the same."""
    made = []

    def rows():
        made.append(True)
        return ()

    request = Request(Key.of("adapter", "cache"))
    decision = Decision(request, None, "nobody", rows)

    assert not made
    assert "_rows=()" in repr(decision) or "rows=()" in repr(decision)
    assert attrs.evolve(decision, revision=3) == Decision(request, None, "nobody", (), 3)
    assert decision.rows == ()
    assert len(made) >= 1
