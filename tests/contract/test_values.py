"""Values check themselves, once, and say what is wrong in a sentence."""

from typing import Any

import pytest
from oneiric_hookspecs import (
    Candidate,
    Domain,
    Health,
    Key,
    Need,
    OneiricError,
    PluginError,
    Policies,
    Request,
    SwapReport,
)

CACHE = Key.of("adapter", "cache")


def make() -> object:
    return object()


@pytest.mark.parametrize(
    ("domain", "name", "says"),
    [
        ("Adapter", "cache", "'Adapter' is not a domain"),
        ("adapter", "", "'' is not a key"),
        ("adapter", "a__b", "'a__b' is not a key"),
        ("adapter", "-a", "'-a' is not a key"),
        ("adapter", "cache\n", "'cache\\n' is not a key"),
        ("adapter", "a" * 129, f"{'a' * 129!r} is not a key"),
        ("adapter", 3, "3 is not a key"),
    ],
)
def test_a_key_is_lower_case_ascii(domain: str, name: Any, says: str) -> None:
    """Names that would need quoting somewhere are refused everywhere."""
    with pytest.raises(PluginError) as raised:
        Key.of(domain, name)

    assert str(raised.value).splitlines()[0] == says


def test_a_key_is_its_two_parts() -> None:
    """A look-up by a pair of texts and one by a key are the same look-up."""
    assert {CACHE: 1}["adapter", "cache"] == 1  # type: ignore[index]
    assert Key.parse("adapter:cache") == CACHE
    assert str(CACHE) == "adapter:cache"


def test_a_key_without_a_colon_says_how_to_write_one() -> None:
    """The hint is the next thing to type."""
    with pytest.raises(PluginError) as raised:
        Key.parse("cache")

    assert str(raised.value) == "'cache' is not a key\n  write it as domain:name, for example adapter:cache"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"key": "adapter:cache"}, "a candidate fills a Key, found 'adapter:cache'"),
        ({"provider": "My SQL"}, "'My SQL' is not a provider"),
        ({"factory": 3}, "candidate adapter:cache 'memory': the factory is not callable: 3"),
        (
            {"factory": "shop.cache"},
            "candidate adapter:cache 'memory': the factory 'shop.cache' is neither pkg.mod:attr nor ep:NAME",
        ),
        (
            {"priority": "10"},
            "candidate adapter:cache 'memory': the priority is a whole number or None, found '10'",
        ),
        (
            {"priority": True},
            "candidate adapter:cache 'memory': the priority is a whole number or None, found True",
        ),
        (
            {"stack_level": 1.0},
            "candidate adapter:cache 'memory': the stack level is a whole number, found 1.0",
        ),
        ({"version": 2}, "candidate adapter:cache 'memory': the version is a text or None, found 2"),
        (
            {"capabilities": "ttl"},
            "candidate adapter:cache 'memory': capabilities is a collection of texts, found 'ttl'",
        ),
        (
            {"needs": [CACHE]},
            f"candidate adapter:cache 'memory': needs is a collection of Need, found {(CACHE,)!r}",
        ),
        (
            {"needs": [Need(CACHE), Need(Key.of("service", "cache"))]},
            "candidate adapter:cache 'memory': two needs share a keyword: cache, cache; give one of them name=",
        ),
        (
            {"settings_class": dict},
            "candidate adapter:cache 'memory': the settings class is an attrs class, found <class 'dict'>",
        ),
        (
            {"health": "ok"},
            "candidate adapter:cache 'memory': health is called with the instance, found 'ok'",
        ),
        (
            {"close": 1},
            "candidate adapter:cache 'memory': close is a callable or the name of a method, found 1",
        ),
        ({"own": 0}, "candidate adapter:cache 'memory': own is true or false, found 0"),
        (
            {"policies": "overlap"},
            "candidate adapter:cache 'memory': policies is a Policies, found 'overlap'",
        ),
    ],
)
def test_a_candidate_names_itself_and_what_is_wrong(fields: dict[str, Any], says: str) -> None:
    """One clear error for each slip, when it is made."""
    good: dict[str, Any] = {"key": CACHE, "provider": "memory", "factory": make}

    with pytest.raises(PluginError) as raised:
        Candidate(**good | fields)

    assert str(raised.value).splitlines()[0] == says


def test_equality_of_candidates_leaves_out_the_factory() -> None:
    """What is declared twice is the same, though a function made it anew."""
    one, other = Candidate(CACHE, "memory", lambda: 1), Candidate(CACHE, "memory", lambda: 2)

    assert one == other
    assert hash(one) == hash(other)
    assert one != Candidate(CACHE, "memory", make, priority=1)


def test_a_ready_value_is_not_owned_unless_said() -> None:
    """The runtime closes only what is its own."""
    assert Candidate.ready(CACHE, "given", 0).own is False
    assert Candidate.ready(CACHE, "given", 0, own=True).own is True


@pytest.mark.parametrize(
    ("make_it", "says"),
    [
        (lambda: Policies(mode="both"), "mode is one of overlap, exclusive, in_place, found 'both'"),  # type: ignore[arg-type]
        (lambda: Need("adapter:db"), "a need names a Key, found 'adapter:db'"),  # type: ignore[arg-type]
        (lambda: Need(CACHE, on_change="reload"), "on_change is restart, notify or handle, found 'reload'"),  # type: ignore[arg-type]
        (
            lambda: Need(CACHE, name="my cache"),
            "the need of adapter:cache cannot be a keyword named 'my cache'",
        ),
        (lambda: Domain("Report", "reports"), "'Report' is not a domain"),
        (
            lambda: Domain("report", "reports", contract=dict),
            "domain report: the contract <class 'dict'> cannot be checked",
        ),
    ],
)
def test_words_that_are_no_choice_are_refused(make_it: Any, says: str) -> None:
    """A misspelt policy never falls back to a default."""
    with pytest.raises(PluginError) as raised:
        make_it()

    assert str(raised.value).splitlines()[0] == says


def test_a_need_fills_the_keyword_of_its_name() -> None:
    """Names that are no Python name are spelled with underscores."""
    assert Need(Key.of("adapter", "cache-main.eu")).keyword == "cache_main_eu"
    assert Need(CACHE, name="store").keyword == "store"


def test_a_lone_text_is_one_capability() -> None:
    """Not a set of letters."""
    assert Request(CACHE, capabilities="ttl").capabilities == {"ttl"}  # type: ignore[arg-type]


def test_an_unknown_health_does_not_pass() -> None:
    """Only ok and degraded do; and the worse of two is found."""
    ok, degraded, unknown, failed = (Health(status) for status in ("ok", "degraded", "unknown", "failed"))

    assert [each.passes for each in (ok, degraded, unknown, failed)] == [True, True, False, False]
    assert ok.worst(unknown) is unknown
    assert failed.worst(unknown) is failed
    with pytest.raises(
        ValueError, match="a health status is one of ok, degraded, unknown, failed, found 'fine'"
    ):
        Health("fine")  # type: ignore[arg-type]


def test_a_report_collects_warnings_that_come_later() -> None:
    """It is a value, and yet observers that fail after it was handed out are in it."""
    said: list[str] = []
    report = SwapReport(CACHE, "swapped", "op1", "memory", "disk", warnings=said)
    said.append("audit: ZeroDivisionError")

    assert report.warnings == ("audit: ZeroDivisionError",)
    assert report == SwapReport(CACHE, "swapped", "op1", "memory", "disk")


def test_a_twin_has_the_facts_and_not_the_traceback() -> None:
    """Everybody who waits for one operation gets an exception of his own."""
    try:
        raise PluginError("no", plugin="audit", where="audit.py:3", hint="fix it", code="E101") from KeyError(
            "x"
        )
    except OneiricError as error:
        original = error
    twin = original.twin()

    assert str(twin) == str(original) == "plugin audit: E101 no (audit.py:3)\n  fix it"
    assert twin.__cause__ is original.__cause__
    assert twin.__traceback__ is None
    assert vars(twin) == vars(original)
