"""Profiles are named layers over the files."""

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from oneiric_hookspecs import Candidate, Domain, Key, Problem, SettingsError

from oneiric.settings import examine, load, profiles

DOMAINS = (Domain("adapter", "adapters"),)
CACHE = Key("adapter", "cache")
CANDIDATES = [Candidate(CACHE, provider, dict) for provider in ("disk", "memory")]

SHOP = """\
[app]
name = "shop"
[adapters.selections]
cache = "disk"
[profile.test.app]
name = "tested"
[profile.prod]
adapters.selections.cache = "memory"
[profile.x-old]
whatever = 1
"""


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Writes ``shop.toml``, and hands out its name."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="shop.toml"):
        (tmp_path / name).write_text(text)
        return name

    return write


def refused(source, **given):
    """What is said about it, in both phases."""
    with pytest.raises(SettingsError) as caught:
        examine(source, **{"environ": {}, **given}).bind(DOMAINS, CANDIDATES)
    return [str(each) for each in caught.value.problems]


def test_a_profile_lies_over_the_files(shop):
    """And leaves what it does not say."""
    settings = load(shop(SHOP), environ={}, profile="prod").bind(DOMAINS, CANDIDATES)

    assert (settings.profile, settings.app.name, settings.selections()) == ("prod", "shop", {CACHE: "memory"})


def test_without_a_word_it_is_the_default_profile(shop):
    """Which is the files as they are, and what they say of it."""
    assert load(shop(SHOP), environ={}).app.name == "shop"
    assert load(shop(f'{SHOP}[profile.default.app]\nname = "usual"\n'), environ={}).app.name == "usual"


def test_the_variable_names_it_and_an_argument_wins(shop):
    """An empty variable counts as not set."""
    environ = {"ONEIRIC_PROFILE": "test"}
    source = shop(SHOP)

    assert load(source, environ=environ).profile == "test"
    assert load(source, environ=environ, profile="prod").profile == "prod"
    assert load(source, environ={"ONEIRIC_PROFILE": ""}).profile == "default"


def test_a_files_profile_lies_over_the_built_in_one(shop):
    """What the file does not say is as it is built in."""
    settings = load(shop(SHOP + '[profile.test.state]\nurl = "sqlite:x"\n'), environ={}, profile="test")

    assert (settings.plugins.auto_load, settings.state.url, settings.app.name) == (
        False,
        "sqlite:x",
        "tested",
    )
    assert [(each.place, each.value) for each in settings.origin.history(("state", "url"))] == [
        ("profile test", "memory:"),
        ("shop.toml:12 (profile test)", "sqlite:x"),
    ]
    assert settings.where("plugins", "auto_load") == "profile test"


@pytest.mark.parametrize("name", profiles.BUILT_IN)
def test_a_built_in_profile_is_valid(name):
    """By itself, with nothing said beside it."""
    settings = load({}, environ={}, profile=name).bind(DOMAINS, CANDIDATES)

    assert (settings.profile, settings.warnings) == (name, ())


def test_what_is_built_in_is_what_the_documentation_says():
    """Changing one is changing what somebody relies on."""
    serverless = {
        "drain_timeout": 0.5,
        "close_timeout": 0.5,
        "cancel_grace": 0.25,
        "shutdown_timeout": 1.5,
    }
    expected = {
        "default": {},
        "serverless": {
            "lifecycle": serverless,
            "orchestrate": {"watch": False, "remote": False},
            "state": {"url": "memory:"},
        },
        "test": {"plugins": {"auto_load": False}, "state": {"url": "memory:"}},
    }
    assert expected == profiles.BUILT_IN


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"profile": "tset"}, Problem("", "there is no profile 'tset'", None, "did you mean test?")),
        (
            {"environ": {"ONEIRIC_PROFILE": "nothing-like-it"}},
            Problem(
                "",
                "there is no profile 'nothing-like-it'",
                "ONEIRIC_PROFILE",
                "there are: default, prod, serverless, test",
            ),
        ),
    ],
)
def test_an_unknown_profile_is_refused(shop, given, expected):
    """With the nearest, of those built in and those of the file; and no plugin is loaded for it."""
    settings = examine(shop(SHOP), **{"environ": {}, **given})

    assert settings.problems == (expected,)
    assert settings.plugins.auto_load is False


def test_profiles_are_checked_whether_or_not_they_are_chosen(shop):
    """In both phases, each slip at its line, under the profile's name; what is wrong below it is said once."""
    text = """\
[app]
name = "shop"
[profile.prod.app]
nam = 1
[profile.prod.lifecycle]
create_timeout = true
[profile.prod.adapters.selections]
cache = 3
[profile.test]
adapters = 1
[profile.test.adaptors]
"""
    expected = [
        "shop.toml:4: profile.prod.app.nam: unknown key (did you mean name?)",
        "shop.toml:6: profile.prod.lifecycle.create_timeout: expected a number, found true",
        "shop.toml:8: profile.prod.adapters.selections.cache: expected a provider, found 3",
        "shop.toml:10: profile.test.adapters: expected a table, found 1",
    ]
    of_test = "shop.toml:11: profile.test.adaptors: unknown section (did you mean adapters?)"
    source = shop(text)

    assert refused(source) == expected
    assert refused(source, profile="prod") == expected
    assert refused(source, profile="test") == [*expected, of_test]


def test_what_is_wrong_in_the_file_is_not_said_again_for_each_profile(shop):
    """The slip is at one line."""
    assert refused(shop(f"{SHOP}[resolver]\non_missing = 1\n")) == [
        "shop.toml:12: resolver.on_missing: expected one of 'error', 'fallback', found 1"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("profile = 1\n", "shop.toml:1: profile: expected a table for each profile, found 1"),
        (
            "[profile]\nauto_load = true\n",
            (
                "shop.toml:2: profile.auto_load: expected a table for each profile, found true"
                " (name the profile it is of: [profile.NAME])"
            ),
        ),
        (
            "[profile.a.profile.b]\n",
            "shop.toml:1: profile.a.profile: a profile has no profiles",
        ),
    ],
)
def test_what_is_no_profile_is_refused(shop, text, expected):
    """A profile is a table, of the shape of a whole file."""
    assert refused(shop(text)) == [expected]


def test_a_profile_of_two_files_is_both(shop):
    """Laid over both files, in their order."""
    one = shop('[profile.prod.app]\nname = "one"\nstate_dir = "one"\n', "one.toml")
    two = shop('[app]\nname = "base"\n[profile.prod.app]\nname = "two"\n', "two.toml")
    settings = load([one, two], environ={}, profile="prod")

    assert (settings.app.name, str(settings.app.state_dir)) == ("two", "one")


def test_no_domain_can_have_the_section_of_profiles():
    """It would never get what is written there."""
    with pytest.raises(SettingsError, match="a domain cannot have the section 'profile'"):
        load({}, environ={}).bind([Domain("profile", "profile")])


names = st.sampled_from(
    ["app", "plugins", "lifecycle", "resolver", "state", "secrets", "adapters", "profile", "test", "prod"]
)
keys = st.sampled_from(
    ["name", "off", "selections", "settings", "cache", "disk", "keys", "url", "x-a", "$secret", ""]
)
leaf = st.sampled_from([None, True, 0, 1.5, float("inf"), "", "disk", "env:A", [], ["a"], [1], {}])
tables = st.recursive(leaf, lambda below: st.dictionaries(keys | names, below, max_size=4), max_leaves=10)


@examples(deadline=None)
@given(
    st.dictionaries(names, tables, max_size=4),
    st.dictionaries(names, tables, max_size=2),
    st.sampled_from([None, "test", "prod", "gone"]),
    st.dictionaries(
        st.builds(lambda *parts: "__".join(["ONEIRIC", *parts]).upper(), names, keys)
        | st.just("ONEIRIC_PROFILE"),
        st.sampled_from(["", "1", "a,b", "test"]),
        max_size=2,
    ),
)
def test_whatever_is_written_is_taken_or_refused(tmp_path_factory, data, profiles_, profile, environ):
    """With nothing but a SettingsError, every problem of which has a path or a place; and what is refused once is again."""
    source = {**data, "profile": profiles_}
    try:
        examined = examine(source, environ=environ, profile=profile)
        examined.bind(DOMAINS, CANDIDATES, plugins={}, schemes={"env": ["secrets"]})
    except SettingsError as error:
        assert all(each.path or each.message for each in error.problems)
        assert len(set(error.problems)) == len(error.problems)
    else:
        assert examined.problems == ()
        assert load(source, environ=environ, profile=profile) == examined
