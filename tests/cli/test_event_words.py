"""``oneiric event``, as an operator types it."""

import json
import signal

import pytest

SHOP = """
    from oneiric_hookspecs import Candidate, Filter, Key, Subscription, hookimpl

    class Mail:
        async def handle(self, envelope):
            if envelope.payload.get("bad"):
                raise OSError("no paper")
            return "sent"

    @hookimpl
    def oneiric_candidates():
        wants = Subscription(["order.*"], filters=[Filter("total", "gte", 10)])
        yield Candidate(Key.of("event", "mail"), "shop", Mail, data=wants)
"""


@pytest.fixture
def shop(folder):
    """A project with a handler, a state directory of its own, and a log of all events."""
    folder.write("shop.py", SHOP)
    folder.write(
        "oneiric.toml",
        """
        [app]
        plugins = ["shop"]
        state_dir = "state"

        [plugins.settings."domains.event"]
        record = true
        """,
    )
    return folder


def test_handlers_are_listed_as_they_are_told(shop):
    """With what they want to know."""
    ended = shop.run("event", "list")

    assert (ended.code, ended.out.splitlines()) == (
        0,
        [
            "HANDLER  TOPICS   FILTERS  PRIORITY  FANOUT     AT ONCE",
            "mail     order.*  1        0         broadcast  10",
        ],
    )


def test_an_event_is_emitted_and_what_came_of_it_shown(shop):
    """The exit code tells whether every handler could handle it."""
    good = shop.run("event", "emit", "order.paid", "--param", "total=12")
    none = shop.run("event", "emit", "order.paid", "--input", '{"total": 9}')
    bad = shop.run("event", "emit", "order.paid", "--param", "total=12", "--param", "bad=true", "--json")

    assert (good.code, good.out.split()) == (0, ["HANDLER", "OUTCOME", "mail", "handled"])
    assert (none.code, none.out) == (0, "nobody wants to know of order.paid\n")
    assert bad.code == 4
    assert bad.json["deliveries"] == [
        {
            "handler": "mail",
            "outcome": "failed",
            "result": None,
            "error": "OSError: no paper",
            "attempts": 1,
            "kept": False,
        }
    ]


def test_what_nobody_could_handle_is_listed_sent_again_and_dropped(shop):
    """By its id; a wrong one is told."""
    shop.run("event", "emit", "order.paid", "--param", "total=12", "--param", "bad=true")

    letter = shop.run("event", "dead", "list", "--json").json["letters"][0]
    again = shop.run("event", "dead", "redeliver", letter["id"])
    wrong = shop.run("event", "dead", "drop", "mail/1")
    dropped = shop.run("event", "dead", "drop", letter["id"])
    nothing = shop.run("event", "dead", "list")

    assert (letter["handler"], letter["error"], letter["envelope"]["payload"]) == (
        "mail",
        "OSError: no paper",
        {"total": 12, "bad": True},
    )
    assert (again.code, wrong.code, dropped.code) == (4, 3, 0)
    assert wrong.err == f"error: there is no dead letter mail/1\n  there are: {letter['id']}\n"
    assert nothing.out == "there are none\n"


def test_everything_that_nobody_could_handle_is_sent_again(shop):
    """One whose handler is gone keeps no other from it; ids and all of them exclude each other."""
    for _ in range(2):
        shop.run("event", "emit", "order.paid", "--param", "total=12", "--param", "bad=true")

    again = shop.run("event", "dead", "redeliver", "--all", "--json")
    gone = shop.run("event", "dead", "redeliver", "--all", "--json", "-p", "no:shop")
    kept = shop.run("event", "dead", "list", "--json").json["letters"]
    both, neither = (shop.run("event", "dead", "redeliver", *words) for words in (["--all", "mail/1"], []))
    shop.run("event", "dead", "drop", *[letter["id"] for letter in kept])
    nothing = shop.run("event", "dead", "redeliver", "--all")

    told = [(each["outcome"], each["error"]) for each in again.json["letters"]]
    assert (again.code, told) == (4, [("failed", "OSError: no paper")] * 2)
    told = [(each["outcome"], each["error"]) for each in gone.json["letters"]]
    assert (gone.code, told) == (4, [("failed", "nobody is called mail any more")] * 2)
    assert len(kept) == 2
    assert (both.code, neither.code, both.err) == (2, 2, neither.err)
    assert (nothing.code, nothing.out) == (0, "there are none\n")


def test_events_of_another_process_are_heard(shop):
    """As they are emitted: one line each, or one object."""
    listening = shop.start("event", "listen", "order.**", "--after", "0", "--json")
    for total in (12, 1):
        assert shop.spawn("event", "emit", "order.paid", "--param", f"total={total}").code == 0
    shop.spawn("event", "emit", "mail.sent")
    shop.spawn("event", "emit", "order.sent.late")
    heard = [json.loads(listening.stdout.readline()) for _ in range(3)]
    listening.send_signal(signal.SIGINT)
    _, err = listening.communicate(timeout=30)

    assert [(each["number"], each["event"]["type"], each["event"].get("data")) for each in heard] == [
        (1, "order.paid", {"total": 12}),
        (2, "order.paid", {"total": 1}),
        (4, "order.sent.late", None),
    ]
    assert (listening.returncode, err) == (
        130,
        '{"schema": "oneiric/error/1", "code": "Interrupted", "message": "interrupted", "hint": null, "exit": 130}\n',
    )


@pytest.mark.parametrize(
    "words, code, error",
    [
        (["emit", "order paid"], 3, "'order paid' is not a topic"),
        (["emit", "a", "--header", "x"], 2, "--header is NAME=TEXT, found 'x'"),
        (["emit", "a", "--header", "Tenant=1"], 3, "'Tenant' is not a header of an event"),
        (["emit", "a", "--input", "{"], 2, "--input is not JSON: expecting property name"),
        (["emit", "a", "--input", '{"a": 1, "a": 2}'], 2, "--input is not JSON: 'a' is given twice"),
        (["emit", "a", "--input", '{"a": NaN}'], 2, "--input is not JSON: naN is no number of JSON"),
        (["emit", "a", "--input", '{"a": 1e999}'], 2, "--input is not JSON: 1e999 is too large"),
        (["emit", "a", "--input", "[" * 100_000], 2, "--input is not JSON: it is nested too deeply"),
        (["emit", "a", "--input", "@nothing.json"], 2, "--input @nothing.json: cannot be read: no such file"),
        (
            ["emit", "a", "--input", "[]", "--param", "b=1"],
            2,
            "--param sets a field of a table, and --input is none",
        ),
        (["emit", "a", "--param", "b"], 2, "--param is NAME=VALUE, found 'b'"),
        (["emit", "a", "--param", "b=1", "--param", "b.c=1"], 2, "--param b.c: b is no table"),
    ],
    ids=[
        "topic",
        "header",
        "header-name",
        "json",
        "twice",
        "nan",
        "huge",
        "deep",
        "file",
        "table",
        "param",
        "below",
    ],
)
def test_bad_input_is_told_in_a_line(shop, words, code, error):
    """Nothing is emitted."""
    ended = shop.run("event", *words)

    assert ended.code == code
    assert error.lower() in ended.err.lower()
    assert shop.run("event", "listen", "--after", "0", "--count", "1", "--help").code == 0


def test_a_store_that_is_damaged_is_not_taken_for_an_empty_one(shop):
    """That there is nothing left is said together with why, by a command that only reads."""
    assert shop.spawn("event", "emit", "order.new", "--param", "total=12").code == 0
    store = shop.path / "state/state.db"
    store.write_bytes(store.read_bytes()[:5000])

    ended = shop.spawn("event", "dead", "list")

    assert (ended.code, ended.out) == (0, "there are none\n")
    assert ended.err.startswith("warning: ") and "is set aside as state.db.corrupt-1" in ended.err
    assert shop.spawn("event", "dead", "list").err == ""


def test_a_store_that_cannot_be_opened_is_no_bug(shop):
    """It is somebody else's file: said in a line, and the exit code is that of what is not well."""
    shop.write("state/state.db", "not a database, and somebody's own notes\n" * 100)

    ended = shop.run("event", "dead", "list")

    assert ended.code == 6
    assert ended.err.startswith("error: ")
    assert len(ended.err.splitlines()) <= 3
    assert shop.path.joinpath("state/state.db").read_text().startswith("not a database")
