"""What plugins answer is held to the rules: a decision is whole, and whoever fails is named and passed over."""

import importlib.metadata
import sys
import types

import pytest
from oneiric_hookspecs import (
    Candidate,
    Decision,
    Key,
    Markers,
    NoCandidate,
    Objection,
    PluginError,
    Request,
    ResolutionError,
    Row,
    Selection,
    SelectionUnsatisfied,
    Source,
    View,
    hookimpl,
)

from oneiric.plugins import eligibility, precedence
from oneiric.registry import Registry
from oneiric.resolution import Resolver, Strategy, markers

KEY = Key.of("adapter", "cache")
APP = Source("app")


def connect(): ...


def candidate(provider="redis", **more):
    return Candidate(KEY, provider, connect, **more)


def told(decision):
    return [
        (row.candidate.provider, row.standing, row.tier, row.reason, row.source.name) for row in decision.rows
    ]


def fill(registry):
    registry.register(APP, candidate("memory"), candidate(), candidate("disk", platforms={"plan9"}))
    return registry.snapshot


OUT = ("disk", "excluded", "excluded", "eligibility: runs on plan9, and this is ", "app")


# --- oneiric_resolve --------------------------------------------------------------------------------------------


def test_a_strategy_may_answer_with_a_winner_alone(new_registry):
    """The kernel gives everybody a row, and says who decided."""

    @hookimpl
    def oneiric_resolve(request, candidates):
        return Decision(request, candidates[0], "the first one drawn")

    snapshot = fill(new_registry(oneiric_resolve))
    decision = snapshot.decide(Request(KEY))

    assert snapshot.resolve(*KEY).provider == "memory"
    assert (decision.by, str(decision.because), decision.faults) == ("lab", "the first one drawn", ())
    assert decision.revision == snapshot.revision
    assert told(decision) == [
        ("memory", "selected", "plugin", "the first one drawn", "app"),
        ("redis", "shadowed", "plugin", "not chosen by lab", "app"),
        OUT,
    ]


def test_a_strategys_own_rows_are_kept_and_put_in_order(new_registry):
    """Its reasons, the winner first, the kernel's sources; rows about nobody, or twice, are dropped."""

    @hookimpl
    def oneiric_resolve(request, candidates):
        loser, winner = candidates
        elsewhere = Candidate(KEY, "elsewhere", connect)
        rows = [
            Row(loser, "shadowed", "plugin", "drew the short straw", "a longer straw", Source("forged")),
            Row(elsewhere, "shadowed", "plugin", "not even here"),
            Row(winner, "selected", "plugin", "drew the long straw"),
            Row(loser, "shadowed", "plugin", "drew the short straw again"),
        ]
        return Decision(request, winner, "straws", tuple(rows))

    decision = fill(new_registry(oneiric_resolve)).decide(Request(KEY))

    assert told(decision) == [
        ("redis", "selected", "plugin", "drew the long straw", "app"),
        ("memory", "shadowed", "plugin", "drew the short straw again", "app"),
        OUT,
    ]


def test_a_row_that_contradicts_the_winner_is_not_kept(new_registry):
    """One decision, one winner."""

    @hookimpl
    def oneiric_resolve(request, candidates):
        rows = (
            Row(candidates[0], "selected", "plugin", "I"),
            Row(candidates[1], "selected", "plugin", "no, I"),
        )
        return Decision(request, candidates[0], "straws", rows)

    registry = new_registry(oneiric_resolve)
    registry.register(APP, candidate("memory"), candidate())

    assert told(registry.snapshot.decide(Request(KEY))) == [
        ("memory", "selected", "plugin", "I", "app"),
        ("redis", "shadowed", "plugin", "not chosen by lab", "app"),
    ]


def test_a_row_told_twice_stands_for_nobody_else(new_registry):
    """A candidate that the strategy forgot has a row all the same."""

    @hookimpl
    def oneiric_resolve(request, candidates, view):
        row = Row(candidates[0], "selected", "plugin", "I", "", view.source(candidates[0]))
        return Decision(request, candidates[0], "straws", (row, row))

    registry = new_registry(oneiric_resolve)
    registry.register(APP, candidate("memory"), candidate())

    assert told(registry.snapshot.decide(Request(KEY))) == [
        ("memory", "selected", "plugin", "I", "app"),
        ("redis", "shadowed", "plugin", "not chosen by lab", "app"),
    ]


def test_a_strategy_may_leave_it_to_the_next(new_registry):
    @hookimpl
    def oneiric_resolve(): ...

    assert fill(new_registry(oneiric_resolve)).decide(Request(KEY)).by == "precedence"


def test_a_strategy_that_fails_is_passed_over_and_named(new_registry):
    """Recorded on the decision, which somebody else makes."""

    @hookimpl
    def oneiric_resolve():
        raise OSError("no dice")

    decision = fill(new_registry(oneiric_resolve)).decide(Request(KEY))

    assert decision.winner.provider == "redis"
    assert (decision.by, decision.faults) == ("precedence", ("lab: oneiric_resolve: OSError: no dice",))


def test_an_answer_of_the_wrong_type_is_passed_over_and_named(new_registry):
    @hookimpl
    def oneiric_resolve(candidates):
        return candidates[0]

    decision = fill(new_registry(oneiric_resolve)).decide(Request(KEY))

    assert decision.by == "precedence"
    assert decision.faults[0].startswith("lab: oneiric_resolve: TypeError: answered Candidate(")


def test_a_winner_from_elsewhere_fills_nothing(new_registry):
    """Also one that is equal to a candidate, and one that was left out."""

    @hookimpl
    def oneiric_resolve(request):
        return Decision(request, candidate("memory"), "brought along")

    snapshot = fill(new_registry(oneiric_resolve))
    decision = snapshot.decide(Request(KEY))

    assert decision.winner is None
    assert decision.faults == ("lab chose adapter:cache 'memory', which is not among the candidates",)
    assert str(decision.error) == (
        "no candidate fills adapter:cache\n  left out: redis: not chosen by lab; memory: not chosen by lab; "
        "disk: eligibility: runs on plan9, and this is "
    )
    with pytest.raises(NoCandidate):
        snapshot.resolve(*KEY)


def test_a_strategy_cannot_overrule_an_operator(new_registry):
    """Whoever replaces the strategy replaces the order; call, pin and settings hold."""

    @hookimpl
    def oneiric_resolve(request, candidates):
        return Decision(request, candidates[0], "the first one drawn")

    registry = new_registry(oneiric_resolve)
    fill(registry)
    registry.pin(KEY, "redis")
    decision = registry.snapshot.decide(Request(KEY))

    assert decision.winner is None
    assert decision.faults == ("lab chose 'memory', but 'redis' is set by a pin",)
    assert type(decision.error) is SelectionUnsatisfied
    assert str(decision.error).splitlines()[0] == (
        "adapter:cache is set to provider 'redis' by a pin, and that is left out: not chosen by lab"
    )


def test_a_strategy_may_refuse(new_registry):
    """Its error is the answer, and nobody else is asked; each who resolves gets one of his own."""
    refusal = ResolutionError("not on a Sunday")

    @hookimpl
    def oneiric_resolve():
        raise refusal

    snapshot = fill(new_registry(oneiric_resolve))
    decision = snapshot.decide(Request(KEY))

    assert (decision.winner, str(decision.error)) == (None, "not on a Sunday")
    assert decision.error.decision is decision
    assert refusal.decision is None
    assert [row[:2] for row in told(decision)] == [
        ("redis", "shadowed"),
        ("memory", "shadowed"),
        ("disk", "excluded"),
    ]
    with pytest.raises(ResolutionError, match="not on a Sunday") as caught:
        snapshot.resolve(*KEY)
    assert caught.value is not decision.error


def test_a_strategy_may_find_nobody_fit(new_registry):
    """With an error of its own, or without."""

    @hookimpl
    def oneiric_resolve(request):
        return Decision(request, None, error=mine[0])

    mine = [ResolutionError("none of these")]
    assert str(fill(new_registry(oneiric_resolve)).decide(Request(KEY)).error) == "none of these"
    mine = [None]
    assert type(fill(new_registry(oneiric_resolve)).decide(Request(KEY)).error) is NoCandidate


def test_an_error_that_is_no_answer_is_recorded(new_registry):
    """Deciding never raises, whatever a plugin does."""

    @hookimpl
    def oneiric_resolve():
        raise PluginError("my table is empty")

    decision = fill(new_registry(oneiric_resolve)).decide(Request(KEY))

    assert (decision.winner, decision.faults) == (None, ("my table is empty",))
    assert type(decision.error) is NoCandidate


def test_without_a_strategy_nobody_wins(new_registry):
    """It is an error with every candidate in it, and no crash."""
    decision = fill(new_registry(builtins=(eligibility,))).decide(Request(KEY))

    assert decision.winner is None
    assert [row.reason for row in decision.rows[:2]] == ["not chosen by anybody"] * 2


# --- oneiric_select ---------------------------------------------------------------------------------------------


def test_a_selecting_plugin_that_fails_is_passed_over_and_named(new_registry):
    @hookimpl
    def oneiric_select():
        raise KeyError("region")

    decision = fill(new_registry(oneiric_select)).decide(Request(KEY))

    assert decision.winner.provider == "redis"
    assert decision.faults == ("lab: oneiric_select: KeyError: 'region'",)


def test_a_plugin_that_selects_what_is_not_there(new_registry):
    """Is told as anybody else would be."""

    @hookimpl
    def oneiric_select():
        return Selection("redsi")

    error = fill(new_registry(oneiric_select)).decide(Request(KEY)).error
    assert str(error).splitlines()[:2] == [
        "no candidate fills adapter:cache with provider 'redsi' (set by lab)",
        "  did you mean 'redis'?",
    ]


def test_nobody_is_asked_to_select_among_none(new_registry):
    @hookimpl
    def oneiric_select(candidates):
        assert candidates

    registry = new_registry(oneiric_select)
    registry.register(APP, candidate(platforms={"plan9"}))

    assert registry.snapshot.decide(Request(KEY)).faults == ()


# --- oneiric_check_eligible -------------------------------------------------------------------------------------


def test_every_judge_is_heard(new_registry):
    """All objections make the reason, each with its plugin; who has nothing to say does not count."""

    @hookimpl
    def oneiric_check_eligible(candidate):
        if candidate.provider != "memory":
            yield Objection("not on a Monday")

    registry = new_registry(oneiric_check_eligible)
    decision = fill(registry).decide(Request(KEY))

    assert decision.winner.provider == "memory"
    assert [row.reason for row in decision.rows[1:]] == [
        "lab: not on a Monday; eligibility: runs on plan9, and this is ",
        "lab: not on a Monday",
    ]
    assert [row.would_win_if for row in decision.rows[1:]] == ["", ""]


def test_a_judge_that_fails_leaves_out(new_registry):
    """Fail closed, and say whose fault it is."""

    @hookimpl
    def oneiric_check_eligible(candidate):
        if candidate.provider == "redis":
            raise OSError("no calendar")

    decision = fill(new_registry(oneiric_check_eligible)).decide(Request(KEY))

    assert decision.winner.provider == "memory"
    reason = next(row.reason for row in decision.rows if row.candidate.provider == "redis")
    assert reason.startswith("lab: ")
    assert "no calendar" in reason


def test_a_judge_sees_who_declared_what(new_registry):
    """A view tells the source of every candidate of the key, and the identity under which it is known."""
    seen = {}

    @hookimpl
    def oneiric_check_eligible(candidate, view):
        seen[candidate.provider] = (
            view.source(candidate).name,
            view.identity(candidate),
            view.priority(candidate),
        )
        assert sorted(view.sources) == sorted(map(id, mine))
        assert len(view.sources) == 2
        assert view.sources[id(candidate)].name == seen[candidate.provider][0]

    registry = new_registry(oneiric_check_eligible, stack_order={"shop": 4})
    mine = [candidate(version="1"), candidate("memory", priority=2)]
    registry.register(APP, mine[0])
    registry.register(Source("shop"), mine[1])
    assert registry.snapshot.resolve(*KEY).provider == "memory"

    assert seen == {
        "redis": ("app", ("app", "redis", "1"), 0),
        "memory": ("shop", ("shop", "memory", None), 2),
    }


def test_precedence_alone():
    """The plugin answers by the contract, whoever asks."""
    nobody = precedence.oneiric_resolve(Request(KEY), (), View(7))
    assert (nobody.winner, nobody.because, nobody.rows, nobody.revision) == (None, "", (), 7)

    one = candidate()
    decision = precedence.oneiric_resolve(Request(KEY), [one], View())
    assert (decision.winner, str(decision.because)) == (one, "the only candidate")
    assert (decision.error, decision.by, decision.faults) == (None, "", ())


def test_without_judges_everybody_is_considered(new_registry):
    registry = new_registry(builtins=(precedence,))
    registry.register(APP, candidate(platforms={"plan9"}))

    assert registry.snapshot.resolve(*KEY).provider == "redis"


def test_what_would_make_it_win_survives_a_refusing_strategy(new_registry):
    """Looking at a remedy never raises."""

    @hookimpl
    def oneiric_resolve(candidates):
        if any(candidate.provider == "disk" for candidate in candidates):
            raise ResolutionError("no disks")

    registry = new_registry(oneiric_resolve)
    registry.register(APP, candidate(), candidate("disk", distributions=("nowhere",)))

    assert registry.snapshot.decide(Request(KEY)).rows[1].would_win_if == "nowhere installed"


def test_a_strategy_can_be_built_without_a_manager():
    """Deciding asks for three hooks, and takes whatever behaves as they do."""
    answer = types.SimpleNamespace(plugin="hand-made", value=None)

    class Judges:
        impls = ()

    class Decides:
        impls = ()

        def decide(self, request, candidates, view):
            answer.value = Decision(request, candidates[0], "by hand")
            return answer, ()

    strategy = Strategy(check_eligible=Judges(), select=types.SimpleNamespace(impls=()), resolve=Decides())
    registry = Registry(resolver=Resolver(strategy))
    ruling = Resolver(strategy)(Request(KEY), [candidate()], View())

    assert (ruling.winner, ruling.decision.by) == (candidate(), "hand-made")
    assert ruling.decision is ruling.decision
    assert registry.snapshot.keys() == ()


# --- markers ----------------------------------------------------------------------------------------------------


def test_markers_are_this_interpreter():
    """Versions of distributions are looked up when asked for, by normalised name."""
    here = markers()

    assert (here.platform, here.python) == (sys.platform, ".".join(map(str, sys.version_info[:3])))
    assert here.installed["attrs"] == importlib.metadata.version("attrs")
    assert here.installed.get("no-such-distribution") is None
    assert here.installed.get("") is None
    assert "pluggy" in list(here.installed)
    assert len(here.installed) == len(list(here.installed))
    assert here == Markers(here.platform, here.python)


def test_what_was_looked_up_is_kept(monkeypatch):
    """A decision does not change because somebody installs something meanwhile."""
    here = markers()
    assert here.installed.get("no-such-distribution") is None
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1")

    assert here.installed.get("no-such-distribution") is None
