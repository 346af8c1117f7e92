"""workflow.audit: it is written down, without what is secret, or it is an error."""

import pytest
from oneiric_hookspecs import StateError, Store, hookimpl

KEY = "workflow.audit"


def written(kits, *requests, log="history"):
    """The results of these requests, and then what stands in the log."""

    async def scenario(runtime):
        results = [await runtime.call("action", KEY, request) for request in requests]
        return results, [(each.number, each.value) for each in await runtime.state.read(log)]

    return kits.run(scenario)


def test_it_is_appended_to_the_history(kits):
    """With all that was given, the details redacted deeply; numbers grow."""
    full = {
        "event": "order refunded",
        "actor": "ann",
        "key": "adapter:payments",
        "outcome": "done",
        "correlation": "req-7",
        "details": {"order": 7, "card": {"Token": "t", "list": [{"PASSWORD": ["p"]}]}},
    }
    results, records = written(kits, full, {"event": "seen"})
    details = {"order": 7, "card": {"Token": "***", "list": [{"PASSWORD": "***"}]}}

    assert results == [
        {"log": "history", "number": 1, "details": details, "masked": 2},
        {"log": "history", "number": 2, "details": {}, "masked": 0},
    ]
    assert records == [
        (
            1,
            {
                "kind": "audit",
                "cause": "action",
                "reason": "order refunded",
                "details": details,
                "actor": "ann",
                "key": "adapter:payments",
                "outcome": "done",
                "correlation": "req-7",
            },
        ),
        (2, {"kind": "audit", "cause": "action", "reason": "seen", "details": {}}),
    ]


def test_the_history_reads_it(kits):
    """As an event among those of the runtime's own."""
    from oneiric.state import History

    async def scenario(runtime):
        await runtime.call("action", KEY, {"event": "seen", "actor": "ann", "details": {"a": 1}})
        return await History(runtime.state).read()

    [told] = kits.run(scenario)

    assert (told.event.kind, told.event.reason, told.event.actor) == ("audit", "seen", "ann")
    assert told.event.more == {"details": {"a": 1}}


def test_it_survives_the_process(kits):
    """In the store that keeps things."""
    kits.file.write_text(kits.file.read_text().replace('"memory:"', '"sqlite:"'))
    kits.call(KEY, event="one", details={"half": "\ud800"})
    _, records = written(kits, {"event": "two"})

    assert [value["reason"] for _, value in records] == ["one", "two"]


def test_the_settings_choose_the_log_and_what_is_hidden(kits):
    """In place of the defaults."""
    kits.settings(f'[actions.settings."{KEY}"]\nlog = "shop"\nmask = ["iban"]\n')
    results, records = written(kits, {"event": "e", "details": {"iban": 1, "token": 2}}, log="shop")

    assert results[0]["log"] == "shop"
    assert [value["details"] for _, value in records] == [{"iban": "***", "token": 2}]


def test_no_event_forges_a_line(kits):
    """Line breaks and escapes are written as what they are."""
    _, [(_, record)] = written(kits, {"event": "a\nb\x1b[2J", "actor": "x\r"})

    assert (record["reason"], record["actor"]) == ("a\\nb\\x1b[2J", "x\\r")


def test_what_cannot_be_written_down_is_an_error(kits):
    """Of the store, with its reason."""

    def refuse(*_):
        raise StateError("the disk is full")

    class Full:
        @hookimpl
        def oneiric_stores(self):
            yield Store("full", refuse)

    kits.options["plugins"] = [Full()]
    kits.file.write_text(kits.file.read_text().replace('"memory:"', '"full:"'))

    with pytest.raises(StateError, match="the disk is full"):
        kits.call(KEY, event="e")


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({}, "event: is missing; expected a text"),
        ({"event": " "}, "event is empty"),
        ({"event": "x" * 501}, "event has at most 500 characters, found 501"),
        ({"event": "e", "actor": "x" * 201}, "actor has at most 200 characters, found 201"),
        ({"event": "e", "actor": 1}, "actor: expected a text, found 1"),
        ({"event": "e", "details": [1]}, "details: expected a table, found a list"),
        (
            {"event": "e", "details": {"a": "x" * 20_000}},
            "details: are 20,008 bytes long, and 16,384 are allowed",
        ),
        ({"event": "e", "details": {"a": [0] * 20_000}}, "details: holds more than 16,384 values"),
        ({"event": "e", "details": {"a": float("inf")}}, "details.a: inf is no number of JSON"),
        ({"event": "e", "detail": {}}, "detail: unknown key (did you mean details?)"),
    ],
    ids=range(10),
)
def test_what_does_not_fit_is_not_written_down(kits, request_, said):
    """It is said by its path, and the log stays empty."""

    async def scenario(runtime):
        said = None
        try:
            await runtime.call("action", KEY, request_)
        except Exception as error:
            said = str(error)
        return said, await runtime.state.read("history")

    error, records = kits.run(scenario)

    assert error.splitlines()[1].strip().startswith(said)
    assert records == []


def test_limits_come_from_the_settings(kits):
    """Bytes and depth."""
    kits.settings(f'[actions.settings."{KEY}"]\nmax_bytes = 9\nmax_depth = 2\n')

    assert kits.refused(KEY, event="e", details={"a": 1234}) == [
        "details: are 10 bytes long, and 9 are allowed",
        f'see the setting actions.settings."{KEY}".max_bytes',
    ]
    assert kits.refused(KEY, event="e", details={"a": {"b": {}}}) == ["details.a.b: is nested deeper than 2"]
