"""Settings are made of layers; every value knows which of them set it, and what that overrode."""

import os

import attrs
import pytest
import tomli_w
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from oneiric_hookspecs import Candidate, Domain, Key, Problem, SettingsError

from oneiric.settings import Flag, examine, load
from oneiric.settings.layers import leaves, merged
from oneiric.settings.plain import freeze, thaw


@attrs.frozen
class Disk:
    path: str = "cache.sqlite"
    sizes: tuple[int, ...] = ()
    busy: float = 5.0


DOMAINS = (Domain("adapter", "adapters"),)
DISK = Candidate(Key("adapter", "cache"), "disk", dict, settings_class=Disk)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Writes files of settings beside each other, and hands out their paths."""
    monkeypatch.chdir(tmp_path)

    def write(**texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.toml").write_text(text)
        return [f"{name}.toml" for name in texts]

    return write


def said(settings, *path):
    """Who said what about a setting, the weakest first."""
    return [(each.place, thaw(each.value)) for each in settings.origin.history(path)]


BASE = """\
[app]
name = "shop"
plugins = ["one", "two"]
[adapters.selections]
cache = "memory"
[adapters.settings.cache.disk]
path = "base"
sizes = [1, 2, 3]
"""
OVER = """\
[app]
plugins = ["three"]
[adapters.settings.cache.disk]
busy = 1
sizes = []
[profile.prod.app]
name = "prod"
"""


def test_several_files_are_laid_over_each_other(files):
    """Tables are merged, a list takes the place of a list; what only one says stays."""
    settings = load(files(base=BASE, over=OVER), environ={}).bind(DOMAINS, [DISK])

    assert (settings.app.name, settings.app.plugins) == ("shop", ("three",))
    assert settings.of(DISK) == Disk("base", (), 1.0)
    assert settings.selections() == {DISK.key: "memory"}


def test_every_layer_wins_over_those_before_it(files):
    """Defaults, files in their order, the profile, the environment, the options."""
    path = ("app", "name")
    names = files(base='[app]\nname = "a"\n', over='[app]\nname = "b"\n[profile.prod.app]\nname = "c"\n')

    def name(source, **given):
        settings = load(source, **{"environ": {}, **given})
        return settings.app.name, [place for place, _ in said(settings, *path)]

    variable = {"ONEIRIC__APP__NAME": "d"}
    assert name({}) == ("app", [])
    assert name(names[:1]) == ("a", ["base.toml:2"])
    assert name(names) == ("b", ["base.toml:2", "over.toml:2"])
    assert name(names, profile="prod") == (
        "c",
        ["base.toml:2", "over.toml:2", "over.toml:4 (profile prod)"],
    )
    assert name(names, profile="prod", environ=variable) == (
        "d",
        ["base.toml:2", "over.toml:2", "over.toml:4 (profile prod)", "ONEIRIC__APP__NAME"],
    )


def test_an_option_adds_to_a_list_and_is_the_last_word(files):
    """Its item has the option as its origin, those before it have theirs."""
    names = files(base='[plugins]\noff = ["a"]\n')
    settings = load(
        names,
        environ={"ONEIRIC__APP__PLUGINS": "one, two"},
        flags=[Flag("-p no:b", ("plugins", "off"), "b"), Flag("-p three", ("app", "plugins"), "three")],
    )

    assert (settings.plugins.off, settings.app.plugins) == (("a", "b"), ("one", "two", "three"))
    assert [settings.where("plugins", "off", number) for number in (0, 1)] == ["base.toml:2", "-p no:b"]
    assert [settings.where("app", "plugins", number) for number in (0, 1, 2)] == [
        "ONEIRIC__APP__PLUGINS",
        "ONEIRIC__APP__PLUGINS",
        "-p three",
    ]
    assert said(settings, "plugins", "off") == [("base.toml:2", ["a"]), ("-p no:b", ["a", "b"])]


def test_an_option_that_meets_no_list_leaves_it_to_be_refused(files):
    """What is wrong is what the file says."""
    with pytest.raises(SettingsError) as caught:
        load(
            files(base='[plugins]\noff = "a"\n'),
            environ={},
            flags=[Flag("-p no:b", ("plugins", "off"), "b")],
        )

    assert [str(each) for each in caught.value.problems] == [
        "base.toml:2: plugins.off: expected a list, found 'a'"
    ]


def test_the_variable_names_several_files(files, monkeypatch):
    """Separated as in PATH; ``file`` is the first of them."""
    names = files(base=BASE, over=OVER)

    settings = load(environ={"ONEIRIC_CONFIG": os.pathsep.join(["", *names])})

    assert settings.app.plugins == ("three",)
    assert [path.name for path in settings.files] == names
    assert settings.file == settings.files[0]


def test_all_files_that_cannot_be_read_are_named(files):
    """Not only the first."""
    names = files(base="a = ", over="")
    with pytest.raises(SettingsError) as caught:
        load([*names, "gone.toml"], environ={})

    assert [(each.where, each.message) for each in caught.value.problems] == [
        ("base.toml:1", "is not TOML: invalid value"),
        ("gone.toml", "there is no such file"),
    ]


def test_a_slip_is_told_with_the_file_it_is_in(files):
    """In the order of the files, each in the order of its lines; variables come last."""
    names = files(
        base='[app]\nnam = 1\n[adapters.settings.cache.disk]\npth = "x"\n',
        over='[resolver]\non_missing = "x"\n[app]\nname = 5\n',
    )
    with pytest.raises(SettingsError) as caught:
        examine(names, environ={"ONEIRIC__APP__NAM": "x"}).bind(DOMAINS, [DISK])

    assert [str(each) for each in caught.value.problems] == [
        "base.toml:2: app.nam: unknown key (did you mean name?)",
        "base.toml:4: adapters.settings.cache.disk.pth: unknown key (did you mean path?)",
        "over.toml:2: resolver.on_missing: expected one of 'error', 'fallback', found 'x'",
        "over.toml:4: app.name: expected a text, found 5",
        "ONEIRIC__APP__NAM: names no setting (did you mean ONEIRIC__APP__NAME?)",
    ]


def test_a_table_that_stands_where_a_value_was_takes_its_place():
    """And a value the place of a table: what is above counts, whatever was below."""
    below, above = freeze({"a": 1, "b": {"c": 1}, "d": {"e": 1}}), freeze({"a": {"b": 1}, "b": 2})

    assert thaw(merged(below, above)) == {"a": {"b": 1}, "b": 2, "d": {"e": 1}}


def test_a_reference_to_a_secret_is_one_value():
    """It is replaced whole, and replaces whole."""
    first, second = {"$secret": "one"}, {"$secret": "two"}
    below = freeze({"a": first, "b": first, "c": "x"})

    assert thaw(merged(below, freeze({"a": second, "b": {"x": 1}, "c": first}))) == {
        "a": second,
        "b": {"x": 1},
        "c": first,
    }
    assert dict(leaves(below)) == {("a",): first, ("b",): first, ("c",): "x"}


def test_variables_of_domains_have_their_origin_once_they_are_bound(files):
    """And remember what they overrode."""
    environ = {"ONEIRIC__ADAPTERS__SETTINGS__CACHE__DISK__PATH": "env", "ONEIRIC__APP__NAME": "env"}
    settings = load(files(base=BASE), environ=environ).bind(DOMAINS, [DISK])

    assert said(settings, "adapters", "settings", "cache", "disk", "path") == [
        ("base.toml:7", "base"),
        ("ONEIRIC__ADAPTERS__SETTINGS__CACHE__DISK__PATH", "env"),
    ]
    assert said(settings, "app", "name") == [("base.toml:2", "shop"), ("ONEIRIC__APP__NAME", "env")]
    assert [(layer.name, layer.count()) for layer in settings.origin.layers] == [
        ("base.toml", 5),
        ("environment", 2),
    ]


# --- whatever the files say ---------------------------------------------------------------------------------------------

names = st.sampled_from(["a", "b", "c", "x-d"])
tables = st.recursive(
    st.integers(0, 9) | st.lists(st.integers(0, 9), max_size=2),
    lambda below: st.dictionaries(names, below, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(names, tables, max_size=3)


@given(documents, documents)
def test_what_is_above_counts_and_of_what_is_below_nothing_else_is_lost(below, above):
    """Every value above is in the whole; so is every value below, unless something above stands in its way."""
    whole = merged(freeze(below), freeze(above))

    values = dict(leaves(whole))
    said = dict(leaves(freeze(above)))
    assert {path: values.get(path) for path in said} == said
    for path, value in leaves(freeze(below)):
        in_the_way = any(path[:length] in said for length in range(1, len(path) + 1))
        over_it = isinstance(_at(above, path), dict)
        assert in_the_way or over_it or values[path] == value


def _at(table, path):
    for part in path:
        table = table.get(part) if isinstance(table, dict) else None
    return table


@given(documents)
def test_a_layer_over_itself_and_over_nothing_is_itself(one):
    """Nothing is added, and nothing is lost."""
    one = freeze(one)

    assert (
        thaw(merged(one, one)) == thaw(merged(freeze({}), one)) == thaw(merged(one, freeze({}))) == thaw(one)
    )


@examples(deadline=None)
@given(st.lists(documents, min_size=1, max_size=3))
def test_what_is_in_force_is_what_was_said_last(tmp_path_factory, layers):
    """Every value of the whole has a history, whose last entry it is; its place is a line of the last file that says it."""
    folder = tmp_path_factory.mktemp("layers")
    paths = []
    for number, tables in enumerate(layers):
        paths.append(folder / f"{number}.toml")
        paths[-1].write_text(tomli_w.dumps({"adapters": tables}))

    settings = examine(paths, environ={})

    for path, value in leaves(settings.tables):
        last = settings.origin.history(path)[-1]
        assert thaw(last.value) == thaw(value)
        file, _, line = last.place.rpartition(":")
        assert path[-1] in (folder / file).read_text().splitlines()[int(line) - 1]
        assert settings.where(*path) == last.place


def test_the_first_of_several_settings_in_code_has_no_place():
    """There is no file to name."""
    settings = load({"app": {"name": "x"}}, environ={"ONEIRIC__APP__NAME": "y"})

    assert said(settings, "app", "name") == [(None, "x"), ("ONEIRIC__APP__NAME", "y")]


def test_examined_settings_hold_what_is_right_in_them(files):
    """A section keeps its other values, and what is wrong is listed."""
    text = "[lifecycle]\nclose_timeout = 3\ncreate_timeout = true\n[app]\nname = 'shop'\nnam = 1\n[resolver]\non_missing = 1\nstack_order = 'a:1'\n"
    settings = examine(files(base=text), environ={})

    assert (settings.lifecycle.close_timeout, settings.lifecycle.create_timeout) == (3.0, 30.0)
    assert (settings.app.name, settings.resolver.stack_order) == ("shop", {"a": 1})
    assert [each.path for each in settings.problems] == [
        "lifecycle.create_timeout",
        "app.nam",
        "resolver.on_missing",
    ]
    with pytest.raises(SettingsError) as caught:
        load(files(base=text), environ={})
    assert caught.value.problems == settings.problems


@pytest.mark.parametrize(
    "text",
    ["[plugins]\nof = []\n", "plugins = 1\n", "[plugins]\nonly = 1\n", "[app]\nplugins = 1\n", "app = 1\n"],
)
def test_what_may_have_kept_a_plugin_out_keeps_all_out(files, text):
    """Nothing is loaded that somebody perhaps meant to leave out; what they would declare is nobody's slip."""
    settings = examine(files(base=f"{text}\n[queues]\n[app2]\n"), environ={})

    assert (settings.plugins.auto_load, settings.app.plugins) == (False, ())
    with pytest.raises(SettingsError) as caught:
        settings.bind(DOMAINS, [DISK])
    assert [each.path.partition(".")[0] for each in caught.value.problems] == [
        text.strip("[").split("]")[0].split()[0]
    ]


def test_a_wrong_variable_about_plugins_keeps_all_out():
    """As a wrong line in the file would."""
    settings = examine({}, environ={"ONEIRIC__PLUGINS__OF": "x"})

    assert (settings.plugins.auto_load, settings.app.plugins) == (False, ())


def test_a_wrong_table_of_a_plugin_keeps_nobody_out(files):
    """It says nothing about who is loaded."""
    settings = examine(files(base="[plugins.settings]\nredis = 1\n"), environ={})

    assert settings.plugins.auto_load
    assert [str(each) for each in settings.problems] == [
        "base.toml:2: plugins.settings.redis: expected a table, found 1"
    ]


# --- names that are nearly ours -----------------------------------------------------------------------------------------


def test_a_variable_that_is_nearly_ours_is_a_warning():
    """It may be somebody else's; so those that are near to nothing are passed over."""
    environ = {
        "ONEIRIC_ADAPTERS__CACHE": "x",
        "ONEIRIC_APP_NAME": "x",
        "ONEIRIC_CONFGI": "x",
        "ONEIRIC_ADAPTERS": "x",
        "ONEIRIC_HOME": "x",
        "ONEIRIC_": "x",
        "ONEIRICS": "x",
        "ONEIRIC_STRICT": "0",
    }
    settings = load({}, environ=environ).bind(DOMAINS, [DISK])

    what = "is no variable of ours, and sets nothing"
    assert settings.warnings == (
        Problem("ONEIRIC_ADAPTERS", what, hint="those of [adapters] begin with ONEIRIC__ADAPTERS__"),
        Problem("ONEIRIC_ADAPTERS__CACHE", what, hint="did you mean ONEIRIC__ADAPTERS__SELECTIONS__CACHE?"),
        Problem("ONEIRIC_APP_NAME", what, hint="did you mean ONEIRIC__APP__NAME?"),
        Problem("ONEIRIC_CONFGI", what, hint="did you mean ONEIRIC_CONFIG?"),
    )
