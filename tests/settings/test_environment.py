"""Settings from environment variables."""

import datetime as dt
from pathlib import Path
from typing import Literal

import attrs
import pytest
from oneiric_hookspecs import Candidate, Domain, Key, SettingsError

from oneiric.settings import load

DOMAINS = (Domain("adapter", "adapters"), Domain("action", "actions"))


@attrs.frozen
class Inner:
    hosts: tuple[str, ...] = ()


@attrs.frozen
class Everything:
    on: bool = False
    count: int | None = None
    rate: float = 0.0
    name: str = ""
    level: Literal["a", 1] = "a"
    day: dt.date | None = None
    sizes: list[int] = attrs.field(factory=list)
    inner: Inner = attrs.field(factory=Inner)
    weights: dict[str, int] = attrs.field(factory=dict)
    pair: int | str = 0
    raw: object = None


DISK = Candidate(Key("adapter", "cache"), "disk", dict, settings_class=Everything)
NULL = Candidate(Key("adapter", "cache"), "null", dict)
FETCH = Candidate(Key("action", "http.fetch"), "kit", dict, settings_class=Everything)
TWIN = Candidate(Key("action", "http-fetch"), "kit", dict, settings_class=Everything)
CANDIDATES = (DISK, NULL, FETCH)


def messages(data, environ, candidates=CANDIDATES):
    with pytest.raises(SettingsError) as caught:
        load(data, environ=environ).bind(DOMAINS, candidates)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("APP__NAME", "shop", lambda settings: settings.app.name == "shop"),
        ("APP__PLUGINS", "a, b", lambda settings: settings.app.plugins == ("a", "b")),
        ("APP__STATE_DIR", "state", lambda settings: settings.app.state_dir == Path("state")),
        ("PLUGINS__ONLY", "", lambda settings: settings.plugins.only == ()),
        ("PLUGINS__AUTO_LOAD", "Off", lambda settings: settings.plugins.auto_load is False),
        ("RESOLVER__ON_MISSING", "fallback", lambda settings: settings.resolver.on_missing == "fallback"),
        ("RESOLVER__STACK_ORDER", "a:1", lambda settings: settings.resolver.stack_order == {"a": 1}),
        ("LIFECYCLE__MAX_PROBES", "7", lambda settings: settings.lifecycle.max_probes == 7),
        ("LIFECYCLE__CREATE_TIMEOUT", "1e1", lambda settings: settings.lifecycle.create_timeout == 10.0),
        (
            "LIFECYCLE__KEYS__ADAPTER_CACHE__CRITICAL",
            "no",
            lambda settings: settings.lifecycle_of(DISK.key).critical is False,
        ),
    ],
)
def test_a_variable_wins_over_the_file(name, text, value):
    """Its text is read by the type of what it sets."""
    data = {"app": {"name": "file"}, "lifecycle": {"keys": {"adapter:cache": {"critical": True}}}}
    settings = load(data, environ={f"ONEIRIC__{name}": text})
    assert value(settings)


def test_variables_reach_the_sections_of_domains():
    """Once it is known what there is to be set; what the file says beside it stays."""
    environ = {
        "ONEIRIC__ADAPTERS__SELECTIONS__CACHE": "null",
        "ONEIRIC__ADAPTERS__SETTINGS__CACHE__DISK__ON": "YES",
        "ONEIRIC__ADAPTERS__SETTINGS__CACHE__DISK__COUNT": "-3",
        "ONEIRIC__ADAPTERS__SETTINGS__CACHE__DISK__RATE": "inf",
        "ONEIRIC__ADAPTERS__SETTINGS__CACHE__DISK__LEVEL": "1",
        "ONEIRIC__ADAPTERS__SETTINGS__CACHE__DISK__DAY": "1979-05-27",
        "ONEIRIC__ADAPTERS__SETTINGS__CACHE__DISK__SIZES": "1, 2",
        "ONEIRIC__ADAPTERS__SETTINGS__CACHE__DISK__INNER__HOSTS": "a",
        "ONEIRIC__ADAPTERS__SETTINGS__CACHE__DISK__WEIGHTS__A_B": "2",
        "ONEIRIC__ADAPTERS__SETTINGS__CACHE__DISK__PAIR": "5",
        "ONEIRIC__ACTIONS__SETTINGS__HTTP_FETCH__KIT__NAME": "n",
    }
    data = {
        "adapters": {
            "selections": {"cache": "disk"},
            "settings": {"cache": {"disk": {"name": "f", "weights": {"a.b": 1}}}},
        }
    }
    settings = load(data, environ=environ).bind(DOMAINS, CANDIDATES)
    assert settings.selections() == {DISK.key: "null"}
    assert settings.of(DISK) == Everything(
        on=True,
        count=-3,
        rate=float("inf"),
        name="f",
        level=1,
        day=dt.date(1979, 5, 27),
        sizes=[1, 2],
        inner=Inner(("a",)),
        weights={"a.b": 2},
        pair="5",
    )
    assert settings.of(FETCH) == Everything(name="n")
    assert '"count" = -3' in settings.written(DISK.key, "disk")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("APP__NAM", "x", "names no setting (did you mean ONEIRIC__APP__NAME?)"),
        (
            "APP__ZZZ",
            "x",
            "names no setting (there are: ONEIRIC__APP__NAME, ONEIRIC__APP__PLUGINS, ONEIRIC__APP__STATE_DIR)",
        ),
        (
            "APP",
            "x",
            "names a table, not a setting (there are: ONEIRIC__APP__NAME, ONEIRIC__APP__PLUGINS, ONEIRIC__APP__STATE_DIR)",
        ),
        ("APP__NAME__X", "x", "names no setting (there is nothing below ONEIRIC__APP__NAME)"),
        ("PLUGINS__AUTO_LOAD", "maybe", "expected 1, true, yes, on or 0, false, no, off, found 'maybe'"),
        ("LIFECYCLE__MAX_PROBES", "1.5", "expected a whole number, found '1.5'"),
        ("LIFECYCLE__PROBATION", "soon", "expected a number, found 'soon'"),
        ("LIFECYCLE__PROBATION", "nan", "expected a number, found 'nan'"),
        ("LIFECYCLE__KEYS__ADAPTER_CACHE__MODE", "overlap", "names no setting (there are: none)"),
        ("PLUGINS__SETTINGS__REDIS__URL", "u", "names no setting (there are: none)"),
        (
            "",
            "x",
            "names no setting (there are: ONEIRIC__ACTIONS, ONEIRIC__ADAPTERS, ONEIRIC__APP, ONEIRIC__HEALTH, ONEIRIC__LIFECYCLE, ONEIRIC__LOGGING, ONEIRIC__ORCHESTRATE, ONEIRIC__PLUGINS and 6 more)",
        ),
        ("LIFECYCEL__PROBATION", "1", "names no setting (did you mean ONEIRIC__LIFECYCLE?)"),
        (
            "ADAPTERS",
            "x",
            "names no setting (there are: ONEIRIC__ADAPTERS__SELECTIONS, ONEIRIC__ADAPTERS__SETTINGS)",
        ),
        ("ADAPTERS__SELECTION__CACHE", "x", "names no setting (did you mean ONEIRIC__ADAPTERS__SELECTIONS?)"),
        (
            "ADAPTERS__SELECTIONS__CACH",
            "x",
            "names no setting (did you mean ONEIRIC__ADAPTERS__SELECTIONS__CACHE?)",
        ),
        (
            "ADAPTERS__SELECTIONS__CACHE__X",
            "x",
            "names no setting (there is nothing below ONEIRIC__ADAPTERS__SELECTIONS__CACHE)",
        ),
        (
            "ADAPTERS__SETTINGS__CACHE",
            "x",
            "names no setting (there are: ONEIRIC__ADAPTERS__SETTINGS__CACHE__DISK, ONEIRIC__ADAPTERS__SETTINGS__CACHE__NULL)",
        ),
        (
            "ADAPTERS__SETTINGS__CACHE__NULL__X",
            "x",
            "names no setting (the candidate 'null' takes no settings)",
        ),
        (
            "ADAPTERS__SETTINGS__CACHE__DISK__NAM",
            "x",
            "names no setting (did you mean ONEIRIC__ADAPTERS__SETTINGS__CACHE__DISK__NAME?)",
        ),
        ("ADAPTERS__SETTINGS__CACHE__DISK__DAY", "today", "expected a date, found 'today'"),
        ("ADAPTERS__SETTINGS__CACHE__DISK__SIZES", "1,x", "expected a whole number, found 'x'"),
        (
            "ADAPTERS__SETTINGS__CACHE__DISK__RAW",
            "x",
            "cannot be set from the environment (write it in the file)",
        ),
    ],
)
def test_a_variable_that_sets_nothing_is_refused(name, text, message):
    """It names the variable, and the nearest there is."""
    assert messages({}, {f"ONEIRIC__{name}": text}) == [f"ONEIRIC__{name}: {message}"]


def test_a_value_that_is_refused_names_its_variable():
    """The file is not to blame for what the environment says."""
    assert messages({"lifecycle": {"probation": 1}}, {"ONEIRIC__LIFECYCLE__PROBATION": "-1"}) == [
        "ONEIRIC__LIFECYCLE__PROBATION: lifecycle.probation: expected 0 seconds or more, found -1.0"
    ]
    assert messages({}, {"ONEIRIC__ADAPTERS__SETTINGS__CACHE__DISK__LEVEL": "b"}) == [
        (
            "ONEIRIC__ADAPTERS__SETTINGS__CACHE__DISK__LEVEL: adapters.settings.cache.disk.level:"
            " expected one of 'a', 1, found 'b'"
        )
    ]


def test_an_item_of_a_list_names_the_variable_that_set_the_list():
    """What stands below a path was set by what set the path."""
    settings = load({}, environ={"ONEIRIC__PLUGINS__OFF": "a,b"})
    assert [settings.where("plugins", "off", 1), settings.where("plugins", "only")] == [
        "ONEIRIC__PLUGINS__OFF",
        None,
    ]


def test_an_ambiguous_variable_is_refused():
    """Two names that are spelled alike in the environment can only be told apart in the file."""
    name = "ONEIRIC__ACTIONS__SELECTIONS__HTTP_FETCH"
    assert messages({}, {name: "kit"}, [FETCH, TWIN]) == [
        f"{name}: may mean http-fetch or http.fetch (write it in the file)"
    ]


def test_variables_with_a_name_of_their_own(monkeypatch, tmp_path):
    """The stack order and the state directory; a relative one is relative to here."""
    monkeypatch.chdir(tmp_path)
    data = {"app": {"state_dir": "file"}, "resolver": {"stack_order": "file:1"}}
    environ = {
        "ONEIRIC_STATE_DIR": "env",
        "ONEIRIC_STACK_ORDER": "env:2",
        "ONEIRIC_OTHER": "x",
        "ONEIRIC_CONFIG": "",
    }
    settings = load(data, environ=environ)
    assert (settings.app.state_dir, settings.resolver.stack_order) == (Path.cwd() / "env", {"env": 2})
    assert load(data, environ=dict.fromkeys(environ, "")) == load(data, environ={})
    assert messages({}, {"ONEIRIC_STACK_ORDER": "a:b"}) == [
        (
            "ONEIRIC_STACK_ORDER: resolver.stack_order: 'a:b' is neither a package nor a package with its priority"
            " (write app:100,vendor:50, or names alone, the strongest first)"
        )
    ]


def test_two_variables_for_one_setting_are_refused():
    """Neither is silently the weaker."""
    environ = {"ONEIRIC_STACK_ORDER": "a", "ONEIRIC__RESOLVER__STACK_ORDER": "b"}
    assert messages({}, environ) == [
        "ONEIRIC__RESOLVER__STACK_ORDER: sets the same as ONEIRIC_STACK_ORDER (keep one of them)"
    ]


def test_problems_of_file_and_environment_come_together(tmp_path):
    """The file's first, by line."""
    path = tmp_path / "shop.toml"
    path.write_text("app = 1\n[plugins]\noff = 1\n")
    environ = {"ONEIRIC__APP__NAME": "x", "ONEIRIC__APP__NAM": "x"}
    assert messages(path, environ) == [
        f"{path}:1: app: expected a table, found 1",
        f"{path}:3: plugins.off: expected a list, found 1",
        "ONEIRIC__APP__NAM: names no setting (did you mean ONEIRIC__APP__NAME?)",
    ]


def test_a_required_setting_may_come_from_the_environment_alone():
    """The section need not be in the file, and settings that wait for bind say whose they are."""
    settings = load({}, environ={"ONEIRIC__ADAPTERS__SELECTIONS__CACHE": "disk"})
    with pytest.raises(SettingsError, match="call bind"):
        settings.selections()
    assert settings.bind(DOMAINS, CANDIDATES).selections() == {DISK.key: "disk"}
