"""data.sanitize: what is hidden is hidden at every depth, in any case."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KEY = "data.sanitize"

SECRETS = [
    "password",
    "PassWord",
    "DB_PASSWORD",
    "passwd",
    "secret",
    "client_secret",
    "token",
    "accessToken",
    "refresh-token-2",
    "api_key",
    "API-Key",
    "apikey",
    "x-api-key",
    "private_key",
    "privateKey",
    "aws_credentials",
    "Authorization",
    "Cookie",
    "Set-Cookie",
]


def test_secrets_are_masked_without_any_settings(kits):
    """Those that everybody has; whatever their value is, and however deep they are."""
    data = {"a": [[{name: value} for name in SECRETS for value in ("x", 5, None, {"y": 1}, ["z"])]]}
    result = kits.call(KEY, data=data)

    assert result["data"] == {"a": [[{name: "***"} for name in SECRETS for _ in range(5)]]}
    assert (result["masked"], result["dropped"]) == (len(SECRETS) * 5, 0)


def test_what_is_no_secret_stays(kits):
    """Its order, too."""
    data = {"z": 1, "name": "Ann", "authorized": True, "keys": [1], "": {"cookies": 2}}

    assert kits.call(KEY, data=data)["data"] == data


PEOPLE = {
    "users": [{"name": "Ann", "email": "a@b", "home": {"email": "c@d"}}, {"name": "Bob"}],
    "email": "x@y",
    "n": 0,
}


@pytest.mark.parametrize(
    ("asked", "expected", "counts"),
    [
        (
            {"mask": ["email"]},
            {
                "users": [{"name": "Ann", "email": "***", "home": {"email": "***"}}, {"name": "Bob"}],
                "email": "***",
                "n": 0,
            },
            (3, 0),
        ),
        (
            {"mask": ["users.email"]},
            {
                "users": [{"name": "Ann", "email": "***", "home": {"email": "c@d"}}, {"name": "Bob"}],
                "email": "x@y",
                "n": 0,
            },
            (1, 0),
        ),
        (
            {"mask": ["USERS.*.e?ail"]},
            {
                "users": [{"name": "Ann", "email": "a@b", "home": {"email": "***"}}, {"name": "Bob"}],
                "email": "x@y",
                "n": 0,
            },
            (1, 0),
        ),
        ({"drop": ["e*"]}, {"users": [{"name": "Ann", "home": {}}, {"name": "Bob"}], "n": 0}, (0, 3)),
        ({"drop": ["users"]}, {"email": "x@y", "n": 0}, (0, 1)),
        ({"allow": ["name"]}, {"users": [{"name": "Ann"}, {"name": "Bob"}]}, (0, 4)),
        ({"allow": ["users.home", "n"]}, {"users": [{"home": {"email": "c@d"}}], "n": 0}, (0, 4)),
        (
            {"allow": ["users"], "drop": ["home"], "mask": ["email"]},
            {"users": [{"name": "Ann", "email": "***"}, {"name": "Bob"}]},
            (1, 3),
        ),
        ({"allow": []}, {}, (0, 6)),
    ],
    ids=range(9),
)
def test_patterns(kits, asked, expected, counts):
    """A name at any depth, or a path from the top on which lists are no step."""
    result = kits.call(KEY, data=PEOPLE, **asked)

    assert result == {"data": expected, "masked": counts[0], "dropped": counts[1]}


def test_brackets_are_brackets(kits):
    """Only ``*`` and ``?`` mean more than themselves."""
    assert kits.call(KEY, data={"[ab]": 1, "a": 2}, mask=["[ab]"])["data"] == {"[ab]": "***", "a": 2}


def test_a_request_adds_and_takes_nothing_away(kits):
    """What the settings hide stays hidden; what they do not allow cannot be allowed."""
    kits.settings(
        f'[actions.settings."{KEY}"]\nmask = ["card"]\ndrop = ["pin"]\nallow = ["a"]\ntext = "[gone]"\n'
    )
    data = {"a": {"card": 1, "pin": 2, "iban": 3}, "b": 4}

    assert kits.call(KEY, data=data, mask=["iban"])["data"] == {"a": {"card": "[gone]", "iban": "[gone]"}}
    assert kits.call(KEY, data=data, mask=[], drop=[], allow=["b", "card"])["data"] == {
        "a": {"card": "[gone]"}
    }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.recursive(
        st.just("SECRET-7"),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["my_Token", "TOKENS", "plain", "x"]), inner, max_size=3)
        ),
        max_leaves=10,
    )
)
def test_nothing_below_a_hidden_name_is_seen(kits, data):
    """Whatever the data look like."""

    def visible(value):
        if isinstance(value, dict):
            return sum(visible(item) for name, item in value.items() if "token" not in name.lower())
        return sum(map(visible, value)) if isinstance(value, list) else 1

    assert str(kits.call(KEY, data=data)["data"]).count("SECRET-7") == visible(data)


def test_limits_come_from_the_settings(kits):
    """What is too deep or too much is an error, as a part of it could not be looked at."""
    kits.settings(f'[actions.settings."{KEY}"]\nmax_depth = 2\nmax_values = 3\n')

    assert kits.refused(KEY, data={"a": [{"password": 1}]}) == ["data.a[0]: is nested deeper than 2"]
    assert kits.refused(KEY, data=[1, 2, 3]) == ["data: holds more than 3 values"]


def deep(levels):
    data = []
    for _ in range(levels):
        data = [data]
    return data


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({}, "data: is missing; expected a value"),
        ({"data": {}, "mask": "token"}, "mask: expected a list, found 'token'"),
        ({"data": {}, "mask": [""]}, "mask: a pattern has 1 to 200 characters, found 0"),
        ({"data": {}, "drop": ["x" * 201]}, "drop: a pattern has 1 to 200 characters, found 201"),
        ({"data": {}, "allow": ["x"] * 201}, "allow: there are at most 200 patterns, found 201"),
        ({"data": {}, "text": "-"}, "text: unknown key"),
        ({"data": deep(70)}, "data[0]"),
        ({"data": deep(100_000)}, ""),
    ],
    ids=range(8),
)
def test_what_does_not_fit_is_said_by_its_path(kits, request_, said):
    """Missing, extra, of another type, too deep: one line."""
    [line] = kits.refused(KEY, **request_)

    assert line.startswith(said)


def test_a_long_pattern_takes_no_long_time(kits):
    """Stars do not multiply."""
    assert kits.call(KEY, data={"a" * 5000: 1}, mask=["*a" * 99 + "b"])["masked"] == 0
