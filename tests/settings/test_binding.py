"""Phase two: the sections of domains are held against what is plugged in."""

from typing import Literal

import attrs
import pytest
from oneiric_hookspecs import Candidate, Domain, Key, Problem, SettingsError

from oneiric.settings import Lifecycle, load


@attrs.frozen
class Disk:
    path: str
    timeout: float = 1.0


@attrs.frozen
class DiskTwo:
    path: str
    depth: int


@attrs.frozen
class Memory:
    size: int = attrs.field(default=10, validator=attrs.validators.gt(0))
    policy: Literal["lru", "lfu"] = "lru"


def candidate(text, provider, settings_class=None, version=None):
    return Candidate(Key.parse(text), provider, dict, settings_class=settings_class, version=version)


DOMAINS = (Domain("adapter", "adapters"), Domain("action", "actions"))
CACHE, FETCH = Key("adapter", "cache"), Key("action", "http.fetch")
DISK = candidate("adapter:cache", "disk", Disk)
MEMORY = candidate("adapter:cache", "memory", Memory)
NULL = candidate("adapter:cache", "null")
KIT = candidate("action:http.fetch", "kit", Memory)
CANDIDATES = (DISK, MEMORY, NULL, KIT)


def bound(data, candidates=CANDIDATES, environ=None, **options):
    return load(data, environ=environ or {}).bind(DOMAINS, candidates, **options)


def messages(data, candidates=CANDIDATES, **options):
    with pytest.raises(SettingsError) as caught:
        bound(data, candidates, **options)
    return [str(problem) for problem in caught.value.problems]


def test_a_bound_section_is_read_by_key():
    """Selections, tables as written, instances, and the text for fingerprints."""
    settings = bound(
        {
            "adapters": {
                "x-note": 1,
                "selections": {"cache": "disk", "x-note": 1},
                "settings": {"x-note": 1, "cache": {"disk": {"path": "p", "x-note": [1]}, "x-note": 1}},
            },
            "actions": {"settings": {"http.fetch": {"kit": {"size": 3}}}},
        }
    )
    assert settings.selections() == {CACHE: "disk"}
    assert settings.table(CACHE, "disk") == {"path": "p", "x-note": [1]}
    assert settings.written(CACHE, "disk") == '{"path" = "p"}'
    assert [settings.of(each) for each in CANDIDATES] == [Disk("p"), Memory(), None, Memory(3)]
    assert settings.warnings == ()


def test_nothing_written_is_an_empty_table():
    """It has no table, the defaults, and the fingerprint of an empty one."""
    nothing, empty = bound({}), bound({"adapters": {"settings": {"cache": {"memory": {}}}}})
    assert (nothing.table(CACHE, "memory"), empty.table(CACHE, "memory")) == (None, {})
    assert nothing.of(MEMORY) == empty.of(MEMORY) == Memory()
    assert nothing.written(CACHE, "memory") == empty.written(CACHE, "memory") == "{}"


def test_a_table_handed_out_is_a_copy():
    """Nobody changes the settings by changing it; nor is an instance shared."""
    settings = bound({"adapters": {"settings": {"cache": {"disk": {"path": "p"}}}}})
    settings.table(CACHE, "disk")["path"] = "q"
    assert settings.table(CACHE, "disk") == {"path": "p"}
    assert settings.of(DISK) is not settings.of(DISK)


def test_a_required_field_without_a_table_is_missed_when_asked_for():
    """Binding says nothing: whether that candidate will be chosen is not known yet."""
    settings = bound({})
    with pytest.raises(SettingsError) as caught:
        settings.of(DISK)
    problem = Problem("adapters.settings.cache.disk.path", "is missing; expected a text")
    assert caught.value.problems == (problem,)


def test_every_problem_at_once(tmp_path):
    """Each with its line, and the nearest name of its own kind."""
    path = tmp_path / "shop.toml"
    path.write_text("""\
[adaptors]
[lifecycel]
[adapters]
setings = 1
[adapters.selections]
cache = 1
"Bad" = "disk"
db = "Post gres"
http.fetch = "kit"
[adapters.settings]
cach.disk = {}
[adapters.settings.cache]
dsk = {}
null = {}
timeout = 5
disk = { path = 1, timeuot = 3 }
memory = { size = 0, policy = "lrx" }
[actions.settings]
http.fetch = { size = 1 }
"http.fetch" = 3
[lifecycle.keys."adaptor:cache"]
[lifecycle.keys."zzz:cache"]
[plugins.settings.rediss]
""")
    assert [text.removeprefix(str(path)) for text in messages(path, plugins=["redis"])] == [
        ":1: adaptors: unknown section (did you mean adapters?)",
        ":2: lifecycel: unknown section (did you mean lifecycle?)",
        ":4: adapters.setings: unknown key (did you mean settings?)",
        ":6: adapters.selections.cache: expected a provider, found 1",
        (
            ":7: adapters.selections.Bad: 'Bad' is not a key (a key is made of lower-case letters, digits and . _ -"
            " (at most 128, a letter or digit first, no '__'))"
        ),
        (
            ":8: adapters.selections.db: 'Post gres' is not a provider (a provider is made of lower-case letters, digits"
            " and . _ - (at most 128, a letter or digit first, no '__'))"
        ),
        (
            ":9: adapters.selections.http: expected a provider, found a table"
            ' (keep a name with dots together: adapters.selections."http.fetch")'
        ),
        ":11: adapters.settings.cach: nothing registered is called 'cach' (did you mean cache?)",
        ":13: adapters.settings.cache.dsk: no candidate of 'cache' has the provider 'dsk' (did you mean disk?)",
        ":14: adapters.settings.cache.null: the candidate 'null' takes no settings (remove the table)",
        (
            ":15: adapters.settings.cache.timeout: expected a table for each provider, found 5"
            " (write it in [adapters.settings.cache.disk])"
        ),
        ":16: adapters.settings.cache.disk.path: expected a text, found 1",
        ":16: adapters.settings.cache.disk.timeuot: unknown key (did you mean timeout?)",
        ":17: adapters.settings.cache.memory.policy: expected one of 'lru', 'lfu', found 'lrx' (did you mean 'lru'?)",
        ":17: adapters.settings.cache.memory.size: 'size' must be > 0: 0",
        (
            ":19: actions.settings.http: nothing registered is called 'http'"
            ' (keep the name together: [actions.settings."http.fetch".kit])'
        ),
        ':20: actions.settings."http.fetch": expected a table for each provider, found 3',
        ":21: lifecycle.keys.\"adaptor:cache\": there is no domain 'adaptor' (did you mean adapter:cache?)",
        ":22: lifecycle.keys.\"zzz:cache\": there is no domain 'zzz' (there are: action, adapter)",
        ":23: plugins.settings.rediss: no plugin takes these settings (did you mean redis?)",
    ]


@pytest.mark.parametrize(
    ("candidates", "table", "expected"),
    [
        (
            [candidate("action:a.b.c", "kit", Memory)],
            {"a": {"b": {"c": {"kit": {}}}}},
            [
                "actions.settings.a: nothing registered is called 'a' (keep the name together: [actions.settings.\"a.b.c\".kit])"
            ],
        ),
        (
            [candidate("action:a.b.c", "kit", Memory)],
            {"a": {"b": 1}},
            ["actions.settings.a: nothing registered is called 'a' (there are: a.b.c)"],
        ),
        (
            [candidate("action:a.b.c", "kit", Memory)],
            {"a": {"b": {"d": 1}}},
            ["actions.settings.a: nothing registered is called 'a' (there are: a.b.c)"],
        ),
        (
            [candidate("action:http", "kit", Memory), KIT],
            {"http": {"fetch": {"size": 1}}},
            [
                "actions.settings.http.fetch: no candidate of 'http' has the provider 'fetch' (keep the name together: [actions.settings.\"http.fetch\".kit])"
            ],
        ),
        (
            [candidate("action:http", "kit", Memory), KIT],
            {"http": {"ktt": {"size": 1}}},
            ["actions.settings.http.ktt: no candidate of 'http' has the provider 'ktt' (did you mean kit?)"],
        ),
        (
            [],
            {"http": {"kit": {}}},
            ["actions.settings.http: nothing registered is called 'http' (there are: none)"],
        ),
    ],
)
def test_dots_that_were_not_quoted_are_recognised(candidates, table, expected):
    """TOML reads them as tables in tables, and the hint shows the name that was meant."""
    assert messages({"actions": {"settings": table}}, candidates) == expected


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ({"selections": []}, ["adapters.selections: expected a table, found a list"]),
        (
            {"settings": {"cache": {"disk": 1}}},
            [
                "adapters.settings.cache.disk: expected a table for each provider, found 1 (write it in [adapters.settings.cache.disk])"
            ],
        ),
    ],
)
def test_a_section_of_another_shape_is_refused(section, expected):
    """It holds selections and settings, and those hold tables."""
    assert messages({"adapters": section}) == expected


def test_a_table_has_to_fit_one_of_its_provider():
    """Two versions may differ, and which of them wins is not known yet."""
    old, new = candidate("adapter:cache", "disk", Disk, "1"), candidate("adapter:cache", "disk", DiskTwo, "2")
    data = {"adapters": {"settings": {"cache": {"disk": {"path": "p", "depth": 2}}}}}
    settings = bound(data, [old, new])
    assert settings.of(new) == DiskTwo("p", 2)
    with pytest.raises(SettingsError, match="depth: unknown key"):
        settings.of(old)
    data["adapters"]["settings"]["cache"]["disk"]["depth"] = "2"
    assert messages(data, [old, new]) == [
        "adapters.settings.cache.disk.depth: expected a whole number, found '2'"
    ]


def test_what_an_absent_plugin_may_have_declared_is_a_warning():
    """It names the plugin; everything else is still refused."""
    data = {
        "queues": {"a": 1},
        "adapters": {"settings": {"cache": {"valkey": {}}, "queue": {"q": {}}}},
        "lifecycle": {"keys": {"queue:a": {}}},
        "plugins": {"settings": {"redis": {}, "otel": {}, "x-note": {}}},
    }
    absent = "or it belongs to a plugin that is not there: redis (off)"
    options = {"plugins": ["otel"], "tolerate": {"redis": "off"}}
    options["environ"] = {"ONEIRIC__QUEUES__SELECTIONS__A": "b"}
    assert [str(warning) for warning in bound(data, **options).warnings] == [
        f"queues: unknown section (there are: actions, adapters, app, health, lifecycle, logging,"
        f" orchestrate, plugins and 7 more; {absent})",
        (
            "adapters.settings.cache.valkey: no candidate of 'cache' has the provider 'valkey'"
            f" (there are: disk, memory, null; {absent})"
        ),
        f"adapters.settings.queue: nothing registered is called 'queue' (there are: cache; {absent})",
        f"lifecycle.keys.\"queue:a\": there is no domain 'queue' (there are: action, adapter; {absent})",
        f"plugins.settings.redis: no plugin takes these settings (there are: otel; {absent})",
        (
            "ONEIRIC__QUEUES__SELECTIONS__A: names no setting (there are: ONEIRIC__ACTIONS, ONEIRIC__ADAPTERS,"
            f" ONEIRIC__APP, ONEIRIC__HEALTH, ONEIRIC__LIFECYCLE, ONEIRIC__LOGGING, ONEIRIC__ORCHESTRATE,"
            f" ONEIRIC__PLUGINS and 6 more; {absent})"
        ),
    ]
    data["adapters"]["settings"]["cache"]["disk"] = {}
    assert messages(data, **options) == ["adapters.settings.cache.disk.path: is missing; expected a text"]


def test_a_domain_cannot_have_a_section_of_ours():
    """It would never get what is written there."""
    with pytest.raises(SettingsError) as caught:
        load({}, environ={}).bind([Domain("app", "app")])
    problem = Problem("app", "a domain cannot have the section 'app'", hint="rename its plural")
    assert caught.value.problems == (problem,)


def test_binding_changes_no_settings():
    """The bound are equal to the unbound, can be bound again, and know the limits."""
    data = {
        "adapters": {"selections": {"cache": "disk"}},
        "lifecycle": {"keys": {"adapter:cache": {"probation": 3}}},
    }
    unbound = load(data, environ={})
    once = unbound.bind(DOMAINS, CANDIDATES)
    assert unbound == once == once.bind(DOMAINS)
    assert once.lifecycle_of(CACHE) == Lifecycle(probation=3.0)


def test_unbound_settings_do_not_guess():
    """Whose section it is nobody has said; where there is none, nothing is written about anything."""
    unbound = load({"adapters": {"selections": {"cache": "disk"}}}, environ={})
    for attempt in (unbound.selections, lambda: unbound.table(CACHE, "disk"), lambda: unbound.of(MEMORY)):
        with pytest.raises(SettingsError) as caught:
            attempt()
        problem = Problem("adapters", "it is not known yet whose section this is", hint="call bind")
        assert caught.value.problems == (problem,)
    nothing = load({}, environ={})
    assert (nothing.selections(), nothing.of(MEMORY), nothing.written(CACHE, "disk")) == ({}, Memory(), "{}")


def test_a_candidate_of_an_unknown_domain_has_nothing_written():
    """It comes from a plugin whose domain is missing; that is the registry's matter."""
    stranger = candidate("queue:a", "b", Memory)
    assert bound({}, [stranger]).of(stranger) == Memory()


def test_settings_of_a_plugin_are_structured_on_demand(tmp_path):
    """Into the class that the plugin brings, with the same strictness and places."""
    path = tmp_path / "shop.toml"
    path.write_text("[plugins.settings]\nredis = {}\n[plugins.settings.otel]\npath = 1\n")
    settings = load(path, environ={})
    assert (settings.of_plugin("redis", Memory), settings.of_plugin("none", None)) == (Memory(), None)
    for name, cls, problem in [
        ("otel", Disk, Problem("plugins.settings.otel.path", "expected a text, found 1", f"{path}:4")),
        (
            "otel",
            None,
            Problem(
                "plugins.settings.otel",
                "the plugin 'otel' takes no settings",
                f"{path}:3",
                "remove the table",
            ),
        ),
        ("none", Disk, Problem("plugins.settings.none.path", "is missing; expected a text", f"{path}:1")),
    ]:
        with pytest.raises(SettingsError) as caught:
            settings.of_plugin(name, cls)
        assert caught.value.problems == (problem,)
