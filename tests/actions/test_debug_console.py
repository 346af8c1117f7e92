"""debug.console: it is said, without what is secret; and nothing is raised."""

import io
import logging
import sys

import pytest

KEY = "debug.console"


def test_it_is_logged(kits, caplog):
    """At its level, with its details, on one line."""
    caplog.set_level("DEBUG", "oneiric.console")
    result = kits.call(KEY, message="hello", level="warning", details={"n": 1, "who": "Ann"})

    assert result == {"said": 'hello {"n": 1, "who": "Ann"}', "logged": True, "echoed": False, "trouble": ""}
    assert [
        (each.levelname, each.getMessage()) for each in caplog.records if each.name == "oneiric.console"
    ] == [("WARNING", 'hello {"n": 1, "who": "Ann"}')]


def test_details_are_scrubbed_deeply(kits, capsys):
    """Names in any case, in lists, in tables; on stderr, too."""
    details = {"list": [{"API-Key": "k1"}, {"deep": {"accessToken": "k2"}}], "Password": {"x": "k3"}}
    kits.call(KEY, message="m", details=details, echo=True)

    assert capsys.readouterr().err == (
        'info: m {"list": [{"API-Key": "***"}, {"deep": {"accessToken": "***"}}], "Password": "***"}\n'
    )


def test_no_message_forges_a_line_or_steers_a_terminal(kits, capsys):
    """Line breaks and escapes are shown as what they are."""
    kits.call(KEY, message="a\nerror: b\x1b[2J\u2028\x9b", details={"x\n": "\x1b"}, echo=True)

    assert capsys.readouterr().err == 'info: a\\nerror: b\\x1b[2J\\u2028\\x9b {"x\\n": "\\u001b"}\n'


def test_a_level_that_is_too_low_is_not_said(kits, capsys):
    """The settings decide which is."""
    kits.settings(f'[actions.settings."{KEY}"]\nlevel = "warning"\necho = true\n')
    results = kits.calls(
        KEY, [{"message": "m", "level": level} for level in ("debug", "info", "warning", "critical")]
    )

    assert [each["echoed"] for each in results] == [False, False, True, True]
    assert capsys.readouterr().err == "warning: m\ncritical: m\n"


class Broken(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


@pytest.mark.parametrize("stderr", [None, Broken()], ids=["none", "broken"])
def test_stderr_that_is_gone_is_no_error(kits, monkeypatch, stderr):
    """The result says so."""
    monkeypatch.setattr(sys, "stderr", stderr)
    result = kits.call(KEY, message="m", echo=True)
    monkeypatch.undo()

    assert result["echoed"] is False
    assert result["trouble"].startswith("stderr failed: ")


def test_a_handler_that_fails_is_no_error(kits):
    """The result says so; stderr is still written to."""

    class Handler(logging.Handler):
        def emit(self, record):
            raise ZeroDivisionError

    handler = Handler()
    logging.getLogger("shop.console").addHandler(handler)
    kits.settings(f'[actions.settings."{KEY}"]\nlogger = "shop.console"\n')
    try:
        result = kits.call(KEY, message="m", level="error")
    finally:
        logging.getLogger("shop.console").removeHandler(handler)

    assert result["trouble"] == "the logger failed: ZeroDivisionError"


def test_what_is_too_much_is_cut(kits):
    """Messages, depth, numbers of values: it is shown that there is more."""
    kits.settings(f'[actions.settings."{KEY}"]\nmax_message = 10\nmax_depth = 2\nmax_values = 5\n')
    asked = [
        {"message": "x" * 11},
        {"message": "m", "details": {"a": {"b": {"c": 1}}}},
        {"message": "m", "details": dict.fromkeys("abcdefgh", 1)},
        {"message": "m", "details": {"a": "y" * 1000}},
    ]

    assert [each["said"] for each in kits.calls(KEY, asked)] == [
        "xxxxxxxxxx...",
        'm {"a": {"b": "..."}}',
        'm {"a": 1, "b": 1, "c": 1, "d": 1, "e": "..."}',
        'm {"a": "' + "y" * 93 + "...",
    ]


def test_strange_texts_are_said(kits):
    """Half characters, and texts that a terminal may not know."""
    result = kits.call(KEY, message="\ud800 ü 漢", details={"\udfff": 1})

    assert result["said"] == '\\ud800 ü 漢 {"\\udfff": 1}'


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({}, "message: is missing; expected a text"),
        ({"message": 5}, "message: expected a text, found 5"),
        ({"message": "m", "level": "warn"}, "level: expected one of "),
        ({"message": "m", "details": []}, "details: expected a table, found a list"),
        ({"message": "m", "echo": 1}, "echo: expected true or false, found 1"),
        ({"message": "m", "detials": {}}, "detials: unknown key (did you mean details?)"),
    ],
    ids=range(6),
)
def test_what_does_not_fit_is_said_by_its_path(kits, request_, said):
    """Missing, extra, of another type: one line."""
    [line] = kits.refused(KEY, **request_)

    assert line.startswith(said)
