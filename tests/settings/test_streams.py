"""``[remote.NAME]``: what a stream's settings may say."""

import pytest

from oneiric.settings import Settings, examine

KEYS = "keys.json"


def messages(**stream) -> list[str]:
    """What is said of a table for the stream ``prod``."""
    table = {"url": "https://example.org/prod/", "keyring": KEYS} | stream
    settings = examine({"remote": {"prod": table}, "secrets": {"token": "env:TOKEN"}}, environ={})
    return [str(problem) for problem in settings.problems]


def loaded(**stream) -> Settings:
    table = {"url": "https://example.org/prod/", "keyring": KEYS} | stream
    return examine({"remote": {"prod": table}, "secrets": {"token": "env:TOKEN"}}, environ={})


def test_two_lines_are_enough():
    """An address and keys; everything else has a default that trusts nobody further."""
    stream = loaded().remote["prod"]

    view = stream.view("prod")
    assert (stream.verifier, stream.interval, stream.mode, stream.unknown_fields, stream.on_expired) == (
        "pinned",
        300.0,
        "whole",
        "reject",
        "keep",
    )
    assert (view.name, view.scope, view.factories, view.priority_band, view.secrets) == (
        "prod",
        ("*:*",),
        (),
        (0, 100),
        (),
    )


def test_a_stream_without_keys_is_no_stream():
    """No settings accept what nobody signed."""
    settings = examine({"remote": {"prod": {"url": "https://example.org/"}}}, environ={})

    assert [str(problem) for problem in settings.problems] == [
        "remote.prod.keyring: is missing; expected a text"
    ]
    assert dict(settings.remote) == {}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("url", "example.org", "expected the address of a folder, such as https://example.org/stream/"),
        (
            "url",
            "https://me:hunter2@example.org/",
            "an address has no user and password: write auth = the name of a secret",
        ),
        (
            "url",
            "https://example.org/?token=x",
            "an address has no query and no fragment: it is the folder that the files are in",
        ),
        ("keyring", "", "Length of 'keyring' must be >= 1: 0"),
        ("interval", 0, "expected a finite number of seconds above 0, found 0"),
        ("interval", "5", "expected a number, found '5'"),
        ("auth", "tokn", "there is no 'tokn' in [secrets] (did you mean token?)"),
        ("auth_header", "X Key", "expected the name of a header, found 'X Key'"),
        ("scope", ["adapter"], "expected a pattern of keys, such as adapter:*, found 'adapter'"),
        ("factories", ["shop-kit"], "expected a module, such as shop_kit, or pkg.mod:attr, found 'shop-kit'"),
        ("priority_band", [5, 1], "expected the least priority and the greatest, found [5, 1]"),
        ("priority_band", [5], "expected a list of 2, found one of 1"),
        ("secrets", ["db"], "there is no 'db' in [secrets] (there are: token)"),
        ("mode", "half", "expected one of 'whole', 'isolate', found 'half'"),
        ("max_lifetime", -1, "expected a finite number of seconds above 0, found -1"),
        ("latency_budget", True, "expected a whole number, found true"),
        (
            "redirects",
            ["https://cdn.example.org"],
            "expected a host, with or without its port, found 'https://cdn.example.org'",
        ),
        ("unsigned", True, "unknown key"),
    ],
)
def test_what_is_wrong_is_named(field, value, message):
    """Each by its path; an address is not repeated, as it may hold a password."""
    [said] = messages(**{field: value})

    assert message in said
    assert said.startswith(f"remote.prod.{field}")
    assert "hunter2" not in said


def test_one_bad_stream_leaves_the_others():
    """They are read, and the bad one is told."""
    good = {"url": "file:///srv/stream", "keyring": KEYS}
    settings = examine({"remote": {"a": good, "B": good, "x-note": 1, "c": {**good, "url": 5}}}, environ={})

    assert list(settings.remote) == ["a"]
    assert len(settings.problems) == 2
