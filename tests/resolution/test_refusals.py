"""What cannot be registered is refused at once: one error with who, where and the nearest right name; nothing of it stays."""

import functools
import inspect
import types

import attrs
import pytest
from oneiric_hookspecs import Candidate, Domain, Key, Need, PluginError, Request, Selection, Source, View

KEY = Key.of("adapter", "cache")
APP = Source("app")
PLUGIN = Source("shop", "installed", "shop-plugins")
STREAM = Source("feed", "stream")


@attrs.frozen
class Settings:
    url: str = ""


def fine(): ...


def with_settings(settings): ...


def with_artifact(*, artifact): ...


def with_need(db, *rest, **more): ...


def with_default(url="redis://", *, retries=3): ...


def typo(setings): ...


def stranger(url): ...


def by_position(settings, /): ...


def keyword_only(*, pool): ...


class Pool:
    def __init__(self, size): ...


class Callable:
    def __call__(self, size): ...


class Fine:
    def __call__(self, settings=None): ...


class Unneeding:
    def __init__(self, *args, **kwargs): ...

    def method(self, size): ...

    def fine_method(self): ...


def passing_on(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs): ...

    return wrapper


def signed(function, text):
    function.__signature__ = inspect.Signature(
        [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in text.split()]
    )
    return function


def candidate(provider="redis", factory=fine, key=KEY, **more):
    return Candidate(key, provider, factory, **more)


def line(function):
    return f"{__file__}:{function.__code__.co_firstlineno}"


OFFER = "a factory gets: settings, data, artifact, and its needs (none); "

SIGNED = signed(lambda **more: None, "size")
MADE = type("Made", (), {"__init__": Pool.__init__, "__module__": "nowhere"})

UNFILLABLE = [
    (
        candidate(factory=stranger),
        f"its factory stranger requires 'url', which nobody can fill ({line(stranger)})",
        OFFER + "declare a Need named url, or give url a default",
    ),
    (
        candidate(factory=typo, settings_class=Settings),
        f"its factory typo requires 'setings', which nobody can fill ({line(typo)})",
        "did you mean settings?\n  " + OFFER + "declare a Need named setings, or give setings a default",
    ),
    (
        candidate(factory=with_need, needs=[Need(Key.of("adapter", "db2"))]),
        f"its factory with_need requires 'db', which nobody can fill ({line(with_need)})",
        (
            "did you mean db2?\n  a factory gets: settings, data, artifact, and its needs (db2); "
            "declare a Need named db, or give db a default"
        ),
    ),
    (
        candidate(factory=with_settings),
        f"its factory with_settings requires 'settings', and the candidate has no settings_class ({line(with_settings)})",
        "give the candidate settings_class=, an attrs class",
    ),
    (
        candidate(factory=by_position, settings_class=Settings),
        f"its factory by_position takes 'settings' by position only, and factories are called with keywords ({line(by_position)})",
        "take the '/' out of its signature",
    ),
    (
        candidate(factory=keyword_only),
        f"its factory keyword_only requires 'pool', which nobody can fill ({line(keyword_only)})",
        OFFER + "declare a Need named pool, or give pool a default",
    ),
    (
        candidate(factory=Pool),
        f"its factory Pool requires 'size', which nobody can fill ({__file__}:{inspect.getsourcelines(Pool)[1]})",
        OFFER + "declare a Need named size, or give size a default",
    ),
    (
        candidate(factory=Callable()),
        f"its factory Callable requires 'size', which nobody can fill ({__file__}:{inspect.getsourcelines(Callable)[1]})",
        OFFER + "declare a Need named size, or give size a default",
    ),
    (
        candidate(factory=Unneeding().method),
        f"its factory Unneeding.method requires 'size', which nobody can fill ({line(Unneeding.method)})",
        OFFER + "declare a Need named size, or give size a default",
    ),
    (
        candidate(factory=functools.partial(stranger)),
        f"its factory partial requires 'url', which nobody can fill ({line(stranger)})",
        OFFER + "declare a Need named url, or give url a default",
    ),
    (
        candidate(factory=passing_on(stranger)),
        f"its factory stranger requires 'url', which nobody can fill ({line(stranger)})",
        OFFER + "declare a Need named url, or give url a default",
    ),
    (
        candidate(factory=SIGNED),
        f"its factory <lambda> requires 'size', which nobody can fill ({line(SIGNED)})",
        OFFER + "declare a Need named size, or give size a default",
    ),
    (
        candidate(factory=MADE),
        "its factory Made requires 'size', which nobody can fill",
        OFFER + "declare a Need named size, or give size a default",
    ),
]


@pytest.mark.parametrize(
    ("bad", "what", "hint"), UNFILLABLE, ids=lambda each: getattr(each, "provider", None) and ""
)
def test_a_parameter_that_nobody_can_fill(registry, bad, what, hint):
    """While its author is looking, with the file and line, and every time."""
    for _ in range(2):
        with pytest.raises(PluginError) as caught:
            registry.register(PLUGIN, candidate("fine"), bad)

        assert str(caught.value) == (
            f"plugin shop: its candidate number 2: candidate adapter:cache 'redis': {what}\n  {hint}"
        )
        assert (caught.value.plugin, caught.value.distribution) == ("shop", "shop-plugins")
    assert registry.snapshot.keys() == ()
    assert registry.snapshot.revision == 1  # the domains


FILLABLE = [
    candidate(factory=fine),
    candidate(factory=with_settings, settings_class=Settings),
    candidate(factory=with_artifact),
    candidate(factory=with_need, needs=[Need(Key.of("adapter", "db"))]),
    candidate(factory=with_need, needs=[Need(Key.of("adapter", "database"), name="db")]),
    candidate(factory=with_default),
    candidate(factory=Fine()),
    candidate(factory=Unneeding),
    candidate(factory=Unneeding().fine_method),
    candidate(factory=functools.partial(stranger, url="redis://")),
    candidate(factory=passing_on(with_default)),
    candidate(factory=signed(lambda url: None, "")),
    candidate(factory=dict),
    candidate(factory=list),
    candidate(factory=object),
    candidate(factory="nowhere.to:be_found"),
    candidate(factory="ep:redis"),
    Candidate.ready(KEY, "redis", 3),
]


@pytest.mark.parametrize(
    "good", FILLABLE, ids=lambda each: getattr(each.factory, "__name__", type(each.factory).__name__)
)
def test_parameters_that_somebody_fills(registry, good):
    """Settings, an artifact, needs, and what has a default."""
    for _ in range(2):
        registry.replace(APP, [good])

    assert registry.snapshot.resolve(*KEY) is good


def test_a_code_object_is_no_signature(registry):
    """Two functions of one code object may differ in their defaults, and are told apart."""

    def make(default):
        def connect(url): ...

        connect.__defaults__ = default
        return connect

    registry.register(APP, candidate(factory=make(("redis://",))))
    with pytest.raises(PluginError):
        registry.register(APP, candidate("other", factory=make(None)))


def passed(*args, **kwargs): ...


def copy(function, **facts):
    other = types.FunctionType(function.__code__, function.__globals__)
    other.__dict__.update(facts)
    return other


@pytest.mark.parametrize("facts", [{"__wrapped__": stranger}, {"__signature__": inspect.signature(stranger)}])
def test_what_says_to_be_another_is_looked_at_as_that(registry, facts):
    """A wrapper's code is that of all it wraps, and was seen before with nothing to complain about."""
    for _ in range(2):
        registry.replace(APP, [candidate(factory=copy(passed))])

    assert "requires 'url'" in refused(registry.replace, APP, [candidate(factory=copy(passed, **facts))])


def test_many_factories_are_looked_at(registry):
    """What is remembered about factories does not grow for ever, and forgetting changes nothing."""
    registry.replace(
        APP,
        [
            candidate(f"p{number}", type(f"T{number}", (), {"__init__": Unneeding.__init__}))
            for number in range(5000)
        ],
    )

    assert len(registry.snapshot.records(KEY)) == 5000


# --- other refusals ---------------------------------------------------------------------------------------------


def refused(call, *arguments, **more):
    with pytest.raises(PluginError) as caught:
        call(*arguments, **more)
    return str(caught.value)


def test_an_unknown_domain(registry):
    """Names the domains, the nearest of them, and where the factory was written."""
    stray = candidate(key=Key.of("adaptor", "cache"))

    assert refused(registry.replace, APP, [candidate(), stray]) == (
        "source app: its candidate number 2: candidate adaptor:cache 'redis': there is no domain 'adaptor' "
        f"({line(fine)})\n  did you mean adapter?\n  domains: adapter, service"
    )


def test_a_plural_is_no_domain(registry):
    """Whoever writes the plural learns the name."""
    stray = candidate(key=Key.of("services", "search"))

    assert "did you mean service?\n" in refused(registry.replace, STREAM, [stray])
    assert refused(registry.replace, STREAM, [stray]).startswith("stream feed: its candidate number 1: ")


def test_a_domain_like_no_other(registry):
    assert refused(registry.register, APP, candidate(factory="a:b", key=Key.of("zoo", "x"))) == (
        "source app: its candidate number 1: candidate zoo:x 'redis': there is no domain 'zoo'\n"
        "  domains: adapter, service"
    )


def test_what_is_no_candidate(registry):
    """A plugin that yields something else is named, with the place."""
    assert refused(registry.replace, PLUGIN, [candidate(), ("adapter", "cache")]) == (
        "plugin shop: its candidate number 2: declares ('adapter', 'cache'), which is not a Candidate"
    )


def test_two_of_one_identity(registry):
    """In one call nobody can say which was meant."""
    twice = [candidate(version="1"), candidate("memory"), candidate(version="1")]

    assert refused(registry.replace, PLUGIN, twice) == (
        "plugin shop: declares adapter:cache 'redis' version 1 twice, as number 1 and 3 of that key "
        f"({line(fine)})\n  give them different versions, or different providers"
    )
    assert "declares adapter:cache 'redis' twice" in refused(registry.register, APP, candidate(), candidate())


@pytest.mark.parametrize("call", ["replace", "register"])
def test_a_refused_call_changes_nothing(registry, call):
    """Neither its own source's earlier candidates nor anybody else's."""
    registry.replace(PLUGIN, [candidate("memory")])
    registry.register(APP, candidate("disk"))
    before = registry.snapshot

    bad = [candidate("memory", summary="new"), candidate("new"), candidate(factory=stranger)]
    if call == "replace":
        refused(registry.replace, PLUGIN, bad)
    else:
        refused(registry.register, PLUGIN, *bad)

    assert registry.snapshot is before
    assert [each.candidate.provider for each in before.records(KEY)] == ["memory", "disk"]


def test_a_generator_that_fails_changes_nothing(registry):
    """What was declared before the failure does not count."""

    def candidates():
        yield candidate()
        raise OSError("no more")

    before = registry.snapshot
    with pytest.raises(OSError, match="no more"):
        registry.replace(APP, candidates())
    assert registry.snapshot is before


def test_a_source_of_a_taken_name(registry):
    """A source is known by its name, so a second one would withdraw the candidates of the first."""
    registry.register(PLUGIN, candidate())

    assert refused(registry.register, Source("shop"), candidate()) == (
        "source shop is registered already, as Source(name='shop', kind='installed', "
        "distribution='shop-plugins', package='')\n  give it another name"
    )


def test_a_stream_of_another_place(registry):
    """Registering one by one keeps the place that the stream was given."""
    registry.register(STREAM, candidate(), order=2)

    assert refused(registry.register, STREAM, candidate("memory"), order=1) == (
        "source feed is registered already, as number 2 among the streams\n"
        "  replace it as a whole to give it another place"
    )


def test_a_source_of_an_unknown_kind(registry):
    assert refused(registry.replace, Source("x", "remote"), []) == (
        "source x is of the unknown kind 'remote'\n  kinds: builtin, installed, stream, application"
    )


def test_a_source_that_is_none(registry):
    assert refused(registry.replace, "shop", []) == "'shop' is not a Source\n  write Source(\"shop\")"


@pytest.mark.parametrize(
    "call",
    [
        lambda registry: registry.pin("adapter:cache", "redis"),
        lambda registry: registry.unpin("adapter:cache"),
        lambda registry: registry.select({"adapter:cache": "redis"}),
        lambda registry: registry.quarantine("adapter:cache", ("app", "redis", None), "bad"),
        lambda registry: registry.release("adapter:cache"),
    ],
)
def test_orders_are_about_keys(registry, call):
    """A text is never taken for a key."""
    assert refused(call, registry) == '\'adapter:cache\' is not a Key\n  write Key.of("adapter", "cache")'


def test_on_missing_is_one_of_two_words(registry):
    assert (
        refused(registry.select, {}, on_missing="ignore") == "on_missing is error or fallback, found 'ignore'"
    )


def test_a_second_domain_of_a_name(registry):
    """By name or plural, and none of the call's others is added."""
    assert refused(registry.add_domains, [Domain("event", "events"), Domain("adapter", "adaptations")]) == (
        "there is a domain adapter (adapters) already; adapter (adaptations) would be a second one of the name adapter\n"
        "  domains: adapter, service"
    )
    assert "of the name services" in refused(registry.add_domains, [Domain("server", "services")])
    assert "of the name adapters" in refused(registry.add_domains, [Domain("adapters", "adapterses")])
    assert "of the name events" in refused(
        registry.add_domains, [Domain("event", "events"), Domain("ev", "events")]
    )
    assert refused(registry.add_domains, ["event"]) == "'event' is not a Domain"
    assert list(registry.snapshot.domains) == ["adapter", "service"]


def test_domains_may_come_later(registry):
    """Candidates of a domain can be registered when it is there."""
    registry.add_domains([Domain("sheep", "sheep")])
    registry.add_domains([])
    registry.register(APP, candidate(key=Key.of("sheep", "dolly")))

    assert registry.snapshot.resolve("sheep", "dolly").provider == "redis"


def test_what_if_is_refused_alike(registry):
    """What could not be registered cannot be supposed."""
    registry.register(PLUGIN, candidate())

    assert "which nobody can fill" in refused(
        registry.snapshot.what_if, add=(APP, [candidate(factory=stranger)])
    )
    assert "is registered already" in refused(registry.snapshot.what_if, add=(Source("shop"), []))


def test_the_contract_refuses_the_rest():
    """What a value can see by itself never reaches a registry."""
    assert refused(Key.of, "Adapter", "cache").startswith("'Adapter' is not a domain")
    assert refused(Candidate, ("adapter", "cache"), "redis", fine).startswith("a candidate fills a Key")
    assert "is not callable: 3" in refused(candidate, factory=3)
    assert "neither pkg.mod:attr nor ep:NAME" in refused(candidate, factory="shop.redis.connect")


def test_a_view_without_sources():
    """A view made by hand knows nobody, and takes every candidate for the application's."""
    assert View().source(candidate()) == Source("application")
    assert View(selection=Selection("x")).identity(candidate()) == ("application", "redis", None)
    assert Request(KEY, capabilities=["a"]).capabilities == {"a"}
