"""Phase one: a file, a mapping or nothing becomes settings."""

import os
import re
from pathlib import Path

import attrs
import pytest
import tomli_w
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from oneiric_hookspecs import Key, Problem, SettingsError

from oneiric.settings import App, DomainSection, Lifecycle, Plugins, Resolver, Settings, load

CACHE = Key("adapter", "cache")


def messages(source, environ=None):
    with pytest.raises(SettingsError) as caught:
        load(source, environ=environ or {})
    return [str(problem) for problem in caught.value.problems]


@pytest.fixture
def shop(tmp_path):
    """Writes a file of settings, and hands out its path."""

    def write(text, name="shop.toml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


# --- what is there without a word -----------------------------------------------------------------------------------


def test_nothing_written_is_the_defaults():
    """Every default, as it is documented."""
    settings = load({}, environ={})
    assert attrs.asdict(settings.lifecycle) == {
        "create_timeout": 30.0,
        "startup_timeout": 30.0,
        "confirm_timeout": 5.0,
        "drain_timeout": 30.0,
        "close_timeout": 10.0,
        "cancel_grace": 2.0,
        "gate_timeout": 10.0,
        "busy_timeout": 30.0,
        "probation": 0.0,
        "probe_interval": 10.0,
        "max_generations": 4,
        "auto_swaps_per_minute": 10,
        "hook_timeout": 5.0,
        "shutdown_timeout": 60.0,
        "max_activations": 16,
        "max_probes": 32,
        "secret_timeout": 10.0,
        "secret_ttl": 300.0,
        "keys": {},
    }
    assert (settings.app, settings.plugins, settings.resolver) == (App(), Plugins(), Resolver())
    assert (settings.domains, settings.file, settings) == ({}, None, Settings())


def test_settings_are_handed_back():
    """What is loaded already is not loaded again."""
    settings = load({"app": {"name": "shop"}}, environ={})
    assert load(settings, environ={"ONEIRIC__APP__NAME": "other"}) is settings


# --- finding the file -----------------------------------------------------------------------------------------------


def test_the_nearest_file_upward_is_found(tmp_path, monkeypatch):
    """From the working directory up, the first oneiric.toml."""
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "oneiric.toml").write_text('[app]\nname = "outer"\n')
    monkeypatch.chdir(inner)
    assert load(environ={}).app.name == "outer"
    (tmp_path / "a" / "oneiric.toml").write_text('[app]\nname = "inner"\n')
    assert (load(environ={}).app.name, load(environ={}).file) == ("inner", tmp_path / "a" / "oneiric.toml")


def test_the_variable_wins_over_the_working_directory(shop, monkeypatch):
    """ONEIRIC_CONFIG names the file; an empty one counts as not set; an argument wins over both."""
    other = shop('[app]\nname = "other"\n', "other.toml")
    monkeypatch.chdir(shop('[app]\nname = "here"\n', "oneiric.toml").parent)
    names = [
        load(source, environ={"ONEIRIC_CONFIG": named}).app.name
        for source, named in [(None, str(other)), (None, ""), ({}, str(other)), ("oneiric.toml", str(other))]
    ]
    assert names == ["other", "here", "app", "here"]


def test_the_process_environment_is_read_when_called(shop, monkeypatch):
    """Not at import."""
    monkeypatch.setenv("ONEIRIC_CONFIG", str(shop('[app]\nname = "late"\n')))
    assert load().app.name == "late"


def test_where_no_file_is_found_the_defaults_hold(tmp_path, monkeypatch):
    """An application need not have one."""
    monkeypatch.chdir(tmp_path)
    assert load(environ={}) == Settings()


def test_a_removed_working_directory_is_no_error(tmp_path, monkeypatch):
    """There is nothing above it to be found."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert load(environ={}) == Settings()


# --- files that cannot be read --------------------------------------------------------------------------------------


def test_a_missing_file_is_named(tmp_path):
    """A file that was asked for by name has to be there."""
    path = tmp_path / "no.toml"
    for attempt in (lambda: load(path, environ={}), lambda: load(environ={"ONEIRIC_CONFIG": str(path)})):
        with pytest.raises(SettingsError) as caught:
            attempt()
        assert caught.value.problems == (Problem("", "there is no such file", str(path)),)


def test_a_folder_is_no_file(tmp_path):
    """The hint names the file that was perhaps meant."""
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, environ={})
    message = f"is a directory, not a file of settings; is {tmp_path / 'oneiric.toml'} meant?"
    assert caught.value.problems == (Problem("", message, str(tmp_path)),)


@pytest.fixture
def nobody():
    """This process without the rights of root, who may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_without_permission_is_said_to_be_that(shop, request):
    """Rather than to be missing."""
    path = shop("")
    path.chmod(0)
    request.getfixturevalue("nobody")
    with pytest.raises(SettingsError) as caught:
        load(path, environ={})
    assert caught.value.problems == (Problem("", "may not be read by this user", str(path)),)


def test_a_dangling_link_is_not_passed_over(tmp_path, monkeypatch):
    """Settings that were meant to be there are not replaced by defaults in silence."""
    (tmp_path / "oneiric.toml").symlink_to("nowhere.toml")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="there is no such file"):
        load(environ={})


@pytest.mark.parametrize("path", ["\0", "x" * 300, "shop.toml/below"])
def test_an_impossible_path_is_one_line(shop, path, monkeypatch):
    """Whatever the system says about it."""
    monkeypatch.chdir(shop("").parent)
    with pytest.raises(SettingsError) as caught:
        load(path, environ={})
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (b'a = 1\nb = "\xff"\n', ":2", "is not UTF-8: byte 0xff"),
        ("a = 1\n\nb c\n", ":3", "is not TOML: expected '=' after a key in a key/value pair"),
        ("a = 1\na = 2\n", ":2", "is not TOML: cannot overwrite a value"),
        ("\nb =", ":2", "is not TOML: invalid value"),
        ("a = " + "[" * 100_000, "", "is nested too deeply"),
        (
            "a = " + "9" * 5000,
            "",
            "is not TOML: exceeds the limit (4300 digits) for integer string conversion",
        ),
    ],
    ids=str,
)
def test_a_file_that_is_not_toml_is_one_line(shop, text, line, message):
    """With the line, where the parser says it."""
    path = shop(text)
    with pytest.raises(SettingsError) as caught:
        load(path, environ={})
    (problem,) = caught.value.problems
    assert (problem.path, problem.where) == ("", f"{path}{line}")
    assert problem.message.startswith(message)
    assert "\n" not in str(caught.value)


def test_a_mark_of_utf8_does_no_harm(shop):
    """Some editors write one, and nobody sees it."""
    assert load(shop(b'\xef\xbb\xbf[app]\nname = "shop"\n'), environ={}).app.name == "shop"


def test_a_source_of_another_type_is_a_type_error():
    """A slip in code is not a problem of the settings."""
    with pytest.raises(TypeError):
        load(5, environ={})


# --- strictness -----------------------------------------------------------------------------------------------------


def test_every_problem_at_once(shop):
    """Each with its line, its path, what was expected and found, and the nearest name."""
    path = shop("""\
x-note = "free"
[app]
nam = "shop"
name = 5
plugins = "shop.plugin"
[plugins]
off = [
  "a",
  1,
]
auto_load = "false"
settings.redis = 1
[resolver]
stack_order = "a:b"
on_missing = "fall_back"
[lifecycle]
create_timeout = true
close_timeout = -1
probation = nan
drain_timeout = inf
max_generations = 1
mode = "overlap"
x-foo = 1
[lifecycle.keys."adapter:cache"]
max_probes = 2
mode = "exclsive"
[lifecycle.keys]
adaptercache = {}
x-key = 1
""")
    assert [text.removeprefix(str(path)) for text in messages(path)] == [
        ":3: app.nam: unknown key (did you mean name?)",
        ":4: app.name: expected a text, found 5",
        ":5: app.plugins: expected a list, found 'shop.plugin'",
        ":9: plugins.off[1]: expected a text, found 1",
        ":11: plugins.auto_load: expected true or false, found 'false'",
        ":12: plugins.settings.redis: expected a table, found 1",
        (
            ":14: resolver.stack_order: 'a:b' is neither a package nor a package with its priority"
            " (write app:100,vendor:50, or names alone, the strongest first)"
        ),
        ":15: resolver.on_missing: expected one of 'error', 'fallback', found 'fall_back' (did you mean 'fallback'?)",
        ":17: lifecycle.create_timeout: expected a number, found true",
        ":18: lifecycle.close_timeout: expected a finite number of seconds above 0, found -1.0",
        ":19: lifecycle.probation: expected a number, found nan",
        ":20: lifecycle.drain_timeout: expected a finite number of seconds above 0, found inf",
        ":21: lifecycle.max_generations: expected a whole number, 2 or more, found 1",
        ':22: lifecycle.mode: unknown key (it is set for one key, in [lifecycle.keys."DOMAIN:NAME"])',
        (
            ':25: lifecycle.keys."adapter:cache".max_probes: unknown key'
            " (it is set once for the whole runtime, in [lifecycle])"
        ),
        (
            ":26: lifecycle.keys.\"adapter:cache\".mode: expected one of 'overlap', 'exclusive', 'in_place',"
            " found 'exclsive' (did you mean 'exclusive'?)"
        ),
        (
            ":28: lifecycle.keys.adaptercache: 'adaptercache' is not a key"
            " (write it as domain:name, for example adapter:cache)"
        ),
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"app": 5}, ["app: expected a table, found 5"]),
        ({"adapters": 5}, ["adapters: expected a table, found 5"]),
        (
            {"app": {"name": "../x"}},
            [
                "app.name: '../x' is not a name of an application (a name of an application is made of lower-case letters, digits and . _ - (at most 128, a letter or digit first, no '__'))"
            ],
        ),
        ({1: {}}, ["1: expected a text as the key, found 1"]),
        (
            {"adapters": {"settings": {"cache": {"disk": {"a": object, "b": [{"c": float("nan")}], 2: 1}}}}},
            [
                "adapters.settings.cache.disk.a: expected plain data, found <class 'object'>",
                "adapters.settings.cache.disk.b[0].c: expected a number, found nan",
                "adapters.settings.cache.disk.2: expected a text as the key, found 2",
            ],
        ),
        ({"lifecycle": {"keys": []}}, ["lifecycle.keys: expected a table, found a list"]),
        (
            {"lifecycle": {"hook_timeout": 0}},
            ["lifecycle.hook_timeout: expected a finite number of seconds above 0, found 0.0"],
        ),
        ({"lifecycle": {"probation": -1}}, ["lifecycle.probation: expected 0 seconds or more, found -1.0"]),
        ({"lifecycle": {"max_probes": True}}, ["lifecycle.max_probes: expected a whole number, found true"]),
        ({"resolver": {"stack_ordr": 1}}, ["resolver.stack_ordr: unknown key (did you mean stack_order?)"]),
        ({"resolver": {"stack_order": float("nan")}}, ["resolver.stack_order: expected a number, found nan"]),
    ],
)
def test_a_mapping_given_in_code_is_held_to_the_same(data, expected):
    """Only the place is missing."""
    assert messages(data) == expected


def test_a_mapping_that_holds_itself_is_refused():
    """Rather than followed for ever."""
    data = {}
    data["app"] = data
    assert messages(data) == ["is nested too deeply"]


def test_paths_and_keys_given_in_code_are_texts():
    """A caller need not turn them into text himself."""
    settings = load(
        {"app": {"state_dir": Path("state")}, "tasks": {"settings": {"a": {"b": {"key": CACHE}}}}}, environ={}
    )
    assert (settings.app.state_dir, settings.domains["tasks"].settings["a"]["b"]["key"]) == (
        Path("state"),
        "adapter:cache",
    )


def test_a_mapping_is_copied():
    """Changing it afterwards, or what the settings hand out, changes no settings."""
    data = {"plugins": {"settings": {"redis": {"hosts": ["a"]}}}}
    settings = load(data, environ={})
    data["plugins"]["settings"]["redis"]["hosts"].append("b")
    assert settings.plugins.settings == {"redis": {"hosts": ("a",)}}
    with pytest.raises(TypeError):
        settings.plugins.settings["redis"]["hosts"] = ()


def test_unknown_sections_are_kept_for_their_domain():
    """No plugin is needed to load; what is not well formed is left for bind to say."""
    settings = load(
        {"adapters": {"selections": {"cache": "disk", "x": 1}, "settings": 5}, "x-free": 1}, environ={}
    )
    assert settings.domains == {"adapters": DomainSection({"cache": "disk"}, {})}


def test_equal_files_give_equal_settings(shop):
    """Wherever they are, and in whatever order they say it; a value of another type is another."""
    one, two = '[a.settings.b.c]\nd = 1\n[app]\nname = "x"\n', '[app]\nname = "x"\n[a]\nsettings.b.c.d = 1\n'
    first, second, third = (
        load(shop(text, name), environ={})
        for name, text in [("1", one), ("2", two), ("3", one.replace("= 1", "= true"))]
    )
    assert first == second
    assert first != third


def test_settings_print_no_tables():
    """What is written for plugins and candidates may be secret."""
    data = {
        "plugins": {"settings": {"a": {"password": "canary"}}},
        "as": {"settings": {"b": {"c": {"d": "canary"}}}},
    }
    assert "canary" not in repr(load(data, environ={"ONEIRIC__BS__X": "canary"}))


# --- limits of one key ----------------------------------------------------------------------------------------------


def test_the_limits_of_a_key_are_completed_from_those_of_all():
    """Its own table wins; what it does not say is said by [lifecycle], and then by the defaults."""
    settings = load(
        {
            "lifecycle": {
                "create_timeout": 3,
                "close_timeout": 4,
                "keys": {
                    "adapter:cache": {"create_timeout": 30, "mode": "exclusive", "critical": False},
                    "x-note": 1,
                },
            }
        },
        environ={},
    )
    assert settings.lifecycle_of(CACHE) == Lifecycle(
        create_timeout=30.0, close_timeout=4.0, mode="exclusive", critical=False
    )
    assert settings.lifecycle_of(Key("adapter", "db")) == Lifecycle(create_timeout=3.0, close_timeout=4.0)
    assert settings.lifecycle_of(CACHE) is settings.lifecycle_of(CACHE)


# --- whatever is valid is taken, and nothing else -------------------------------------------------------------------

names = st.from_regex(re.compile(r"[a-z0-9][a-z0-9._-]{0,8}", re.ASCII), fullmatch=True).filter(
    lambda name: "__" not in name
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
seconds = st.floats(0, exclude_min=True, allow_infinity=False) | st.integers(1, 2**53)
limits = {
    "create_timeout": seconds,
    "drain_timeout": seconds,
    "probation": seconds | st.just(0),
    "max_generations": st.integers(2, 99),
}
policies = {
    "mode": st.sampled_from(["overlap", "exclusive", "in_place"]),
    "auto_swap": st.sampled_from(["off", "on_idle", "on"]),
    "critical": st.booleans(),
}
raw = st.dictionaries(
    texts,
    st.recursive(
        st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | texts,
        lambda below: st.lists(below, max_size=3) | st.dictionaries(texts, below, max_size=3),
        max_leaves=5,
    ),
    max_size=3,
)
valid = st.fixed_dictionaries(
    {},
    optional={
        "app": st.fixed_dictionaries(
            {}, optional={"name": names, "plugins": st.lists(texts), "state_dir": texts.filter(bool)}
        ),
        "plugins": st.fixed_dictionaries(
            {},
            optional={
                "off": st.lists(texts),
                "only": st.lists(texts),
                "auto_load": st.booleans(),
                "settings": st.dictionaries(
                    names.filter(lambda name: not name.startswith("x-")), raw, max_size=2
                ),
            },
        ),
        "resolver": st.fixed_dictionaries(
            {},
            optional={
                "stack_order": st.dictionaries(names, st.integers(-99, 99)),
                "on_missing": st.sampled_from(["error", "fallback"]),
            },
        ),
        "lifecycle": st.fixed_dictionaries(
            {},
            optional=limits
            | {
                "hook_timeout": seconds,
                "keys": st.dictionaries(
                    st.builds("{}:{}".format, names, names).filter(lambda key: not key.startswith("x-")),
                    st.fixed_dictionaries({}, optional=limits | policies),
                    max_size=2,
                ),
            },
        ),
        "adapters": st.fixed_dictionaries(
            {},
            optional={
                "selections": st.dictionaries(names, names, max_size=2),
                "settings": st.dictionaries(names, st.dictionaries(names, raw, max_size=2), max_size=2),
            },
        ),
    },
)


def plain(value):
    """Settings as the tables they were made of."""
    if attrs.has(type(value)):
        return {name: plain(getattr(value, name)) for name in attrs.fields_dict(type(value))}
    if hasattr(value, "items"):
        return {name: plain(below) for name, below in value.items()}
    return (
        [plain(each) for each in value]
        if isinstance(value, tuple)
        else str(value)
        if isinstance(value, Path)
        else value
    )


# Not timed: the first example builds hypothesis's table of characters.
@examples(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(valid)
def test_what_is_written_is_what_is_loaded(tmp_path_factory, tables):
    """Every valid file loads, says what was written, and equals the mapping of the same content."""
    path = tmp_path_factory.getbasetemp() / "round-trip.toml"
    path.write_text(tomli_w.dumps(tables), encoding="utf-8", newline="")
    settings = load(path, environ={})
    assert settings == load(tables, environ={})
    for section in ("app", "plugins", "resolver", "lifecycle"):
        loaded = plain(getattr(settings, section))
        for name, value in tables.get(section, {}).items():
            if name == "keys":
                assert {
                    key: {each: loaded[name][key][each] for each in own} for key, own in value.items()
                } == value
            else:
                assert loaded[name] == (str(Path(value)) if name == "state_dir" else value)


WRONG = {
    bool: [1, "true"],
    int: [True, "1", 1.5],
    float: [True, "1.0"],
    str: [True, 1, ["a"]],
    tuple: ["a", {"a": 1}],
}
LEAVES = [
    (("app", "name"), str),
    (("app", "plugins"), tuple),
    (("plugins", "off"), tuple),
    (("plugins", "only"), tuple),
    (("plugins", "auto_load"), bool),
    (("resolver", "on_missing"), str),
    (("lifecycle", "create_timeout"), float),
    (("lifecycle", "max_probes"), int),
    (("lifecycle", "keys", "adapter:cache", "probation"), float),
    (("lifecycle", "keys", "adapter:cache", "max_generations"), int),
    (("lifecycle", "keys", "adapter:cache", "critical"), bool),
]


# Not timed: the first example builds hypothesis's table of characters.
@examples(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.sampled_from(LEAVES), min_size=1, unique=True).flatmap(
        lambda leaves: st.tuples(
            *(st.tuples(st.just(path), st.sampled_from(WRONG[kind])) for path, kind in leaves)
        )
    )
)
def test_every_confused_type_is_reported_at_its_path(confused):
    """However many there are, each is reported once, and nothing else is."""
    data = {}
    for path, value in confused:
        table = data
        for part in path[:-1]:
            table = table.setdefault(part, {})
        table[path[-1]] = value
    with pytest.raises(SettingsError) as caught:
        load(data, environ={})
    expected = [".".join(f'"{part}"' if ":" in part else part for part in path) for path, _ in confused]
    assert sorted(problem.path for problem in caught.value.problems) == sorted(expected)
