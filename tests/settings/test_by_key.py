"""A domain whose tables of settings are a key's, and not one of its providers': ``[actions.settings."http.fetch"]``."""

import attrs
import pytest
from oneiric_hookspecs import Candidate, Domain, Key, SettingsError

from oneiric.settings import load


@attrs.frozen
class Fetch:
    timeout: float = 1.0
    hosts: tuple[str, ...] = ()
    fetch: str = ""


@attrs.frozen
class FetchTwo:
    timeout: float = 1.0
    retries: int = 0


DOMAINS = (Domain("action", "actions", settings_by="key"), Domain("adapter", "adapters"))
FETCH = Key("action", "http.fetch")
ONE = Candidate(FETCH, "one", dict, settings_class=Fetch)
TWO = Candidate(FETCH, "two", dict, settings_class=FetchTwo)
BARE = Candidate(FETCH, "bare", dict)
ECHO = Candidate(Key("action", "debug.echo"), "echo", dict)
HTTP = Candidate(Key("action", "http"), "kit", dict, settings_class=FetchTwo)
CACHE = Candidate(Key("adapter", "cache"), "disk", dict, settings_class=Fetch)
ALL = (ONE, TWO, BARE, ECHO, CACHE)


def bound(actions, candidates=ALL, environ=None):
    return load({"actions": actions}, environ=environ or {}).bind(DOMAINS, candidates)


def messages(actions, candidates=ALL, environ=None):
    with pytest.raises(SettingsError) as caught:
        bound(actions, candidates, environ)
    return [str(each) for each in caught.value.problems]


def test_the_table_is_that_of_every_provider():
    """There is no level of providers; selections are as ever."""
    settings = bound(
        {"settings": {"http.fetch": {"timeout": 3, "x-note": 1}}, "selections": {"http.fetch": "two"}}
    )

    assert (settings.of(ONE), settings.of(TWO), settings.of(BARE)) == (Fetch(3.0), FetchTwo(3.0), None)
    assert settings.table(FETCH, "one") == settings.table(FETCH, "nobody") == {"timeout": 3, "x-note": 1}
    assert settings.written(FETCH, "one") == '{"timeout" = 3}'
    assert settings.selections() == {FETCH: "two"}
    assert (settings.of(CACHE), settings.table(CACHE.key, "disk")) == (Fetch(), None)


def test_it_has_to_fit_one_of_them():
    """Which of them wins is not known yet; the one it does not fit says so when it is asked for."""
    settings = bound({"settings": {"http.fetch": {"retries": 3}}})

    assert settings.of(TWO) == FetchTwo(retries=3)
    with pytest.raises(SettingsError) as caught:
        settings.of(ONE)
    assert [str(each) for each in caught.value.problems] == [
        'actions.settings."http.fetch".retries: unknown key (there are: fetch, hosts, timeout)'
    ]


@pytest.mark.parametrize(
    ("table", "candidates", "expected"),
    [
        (
            {"http.fetch": {"timeuot": 1}},
            (ONE,),
            'actions.settings."http.fetch".timeuot: unknown key (did you mean timeout?)',
        ),
        (
            {"http.fetch": 3},
            (ONE,),
            'actions.settings."http.fetch": expected a table of settings, found 3 (write it in [actions.settings."http.fetch"])',
        ),
        (
            {"debug.echo": {}},
            (ECHO,),
            "actions.settings.\"debug.echo\": 'debug.echo' takes no settings (remove the table)",
        ),
        (
            {"http": {"fetch": {"timeout": 1}}},
            (ONE,),
            (
                "actions.settings.http: nothing registered is called 'http'"
                ' (keep the name together: [actions.settings."http.fetch"])'
            ),
        ),
        (
            {"http": {"fetch": {"timeout": 1}}},
            (ONE, HTTP),
            'actions.settings.http.fetch: unknown key (keep the name together: [actions.settings."http.fetch"])',
        ),
        (
            {"http.fetsh": {}},
            (ONE,),
            "actions.settings.\"http.fetsh\": nothing registered is called 'http.fetsh' (did you mean http.fetch?)",
        ),
    ],
)
def test_what_is_wrong_with_it(table, candidates, expected):
    """Paths have no provider in them, and neither have hints."""
    assert messages({"settings": table}, candidates) == [expected]


def test_variables_have_no_provider_either():
    """The class is that of the first candidate that has such a setting."""
    environ = {
        "ONEIRIC__ACTIONS__SETTINGS__HTTP_FETCH__TIMEOUT": "7",
        "ONEIRIC__ACTIONS__SETTINGS__HTTP_FETCH__HOSTS": "a,b",
        "ONEIRIC__ADAPTERS__SETTINGS__CACHE__DISK__TIMEOUT": "8",
    }
    settings = bound({}, environ=environ)

    assert (settings.of(ONE), settings.of(CACHE)) == (Fetch(7.0, ("a", "b")), Fetch(8.0))
    retries = {"ONEIRIC__ACTIONS__SETTINGS__HTTP_FETCH__RETRIES": "2"}
    assert bound({}, environ=retries).of(TWO) == FetchTwo(retries=2)


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        (
            "HTTP_FETCH__TIMEUOT",
            "names no setting (did you mean ONEIRIC__ACTIONS__SETTINGS__HTTP_FETCH__TIMEOUT?)",
        ),
        (
            "HTTP_FETCH",
            (
                "names a table, not a setting (there are: ONEIRIC__ACTIONS__SETTINGS__HTTP_FETCH__FETCH,"
                " ONEIRIC__ACTIONS__SETTINGS__HTTP_FETCH__HOSTS, ONEIRIC__ACTIONS__SETTINGS__HTTP_FETCH__TIMEOUT)"
            ),
        ),
        ("DEBUG_ECHO__X", "names no setting ('debug.echo' takes no settings)"),
    ],
)
def test_variables_that_set_nothing(variable, expected):
    """With the nearest there is."""
    name = f"ONEIRIC__ACTIONS__SETTINGS__{variable}"

    assert messages({}, environ={name: "x"}) == [f"{name}: {expected}"]
