"""event.dispatch: handlers and webhooks are told, each by itself; by default nobody is."""

import asyncio
import json

import pytest
import tomli_w
from oneiric_hookspecs import Candidate, Key, OneiricError, SettingsError, Subscription, hookimpl

from oneiric import assemble

KEY = "event.dispatch"


class Handlers:
    """A plugin with two handlers, one of which fails."""

    def __init__(self):
        self.seen = []

    @hookimpl
    def oneiric_candidates(self):
        handlers = self

        class Books:
            async def handle(self, envelope):
                handlers.seen.append((envelope.id, envelope.topic, envelope.payload, envelope.source))

        class Broken:
            async def handle(self, envelope):
                raise ValueError("no\npaper")

        for name, cls, priority in (("books", Books, 1), ("printer", Broken, 0)):
            data = Subscription(["order.*"], priority=priority, dead_letter=False)
            yield Candidate(Key.of("event", name), name, cls, data=data)


@pytest.fixture
def dispatch(tmp_path):
    """``dispatch(request, ..., setting=...)``: what the action gives to each, or what it says."""

    def dispatch(*requests, plugins=(), off=(), **settings):
        table = {"allow_private": True, "backoff": 0.0, **settings}
        state = {"app": {"state_dir": str(tmp_path / "state")}, "state": {"url": "memory:"}}
        file = tmp_path / "oneiric.toml"
        file.write_text(tomli_w.dumps({**state, "actions": {"settings": {KEY: table}}}))

        async def main():
            found = []
            async with assemble(file, plugins=plugins, off=off, environment=False) as runtime:
                for request in requests:
                    try:
                        found.append(await runtime.call("action", KEY, request))
                    except OneiricError as error:
                        found.append(str(error))
            return found

        found = asyncio.run(main())
        return found if len(found) > 1 else found[0]

    return dispatch


def told(name, status=200, attempts=1, outcome="told", error=""):
    return {"name": name, "outcome": outcome, "status": status, "attempts": attempts, "error": error}


def test_a_dry_run_is_the_default_and_tells_nobody(web, dispatch):
    """It says who would be told, and what; what could not be sent is said too."""
    handlers = Handlers()
    hooks = {
        "shop": {"url": f"{web.url}/shop", "topics": ["order.*"]},
        "mail": {"url": f"{web.url}/mail", "topics": ["mail.**"]},
        "else": {"url": "https://else.test/"},
    }
    request = {"topic": "order.paid", "payload": {"n": 1}, "id": "7", "headers": {"tenant": "a"}}
    found = dispatch(request, plugins=[handlers], hooks=hooks, hosts=["127.0.0.1"])

    event = found.pop("event")
    assert event.pop("time").endswith("Z")
    assert event == {
        "specversion": "1.0",
        "id": "7",
        "source": "oneiric",
        "type": "order.paid",
        "datacontenttype": "application/json",
        "correlationid": "7",
        "tenant": "a",
        "data": {"n": 1},
    }
    refused = "https://else.test is none of the hosts that may be asked"
    assert found == {
        "id": "7",
        "dry_run": True,
        "ok": False,
        "hooks": [told("shop", None, 0, "would_tell"), told("else", None, 0, "failed", refused)],
        "handlers": [told("books", None, 0, "would_tell"), told("printer", None, 0, "would_tell")],
    }
    assert (web.connections, handlers.seen) == (0, [])


def test_everybody_is_told_and_one_that_fails_changes_nothing(web, other, dispatch):
    """In the order of the settings; the event is the same for all."""
    handlers = Handlers()
    web.on["/good"] = web.reply(202)
    web.on["/bad"] = web.reply(400)
    web.on["/busy"] = [web.reply(503), web.reply(200)]
    web.on["/moved"] = web.reply(307, Location=f"{other.url}/")
    hooks = {name: {"url": f"{web.url}/{name}"} for name in ("bad", "good", "busy", "moved")}
    hooks["gone"] = {"url": "http://127.0.0.1:1/path"}
    request = {"topic": "order.paid", "payload": ["ü"], "id": "7", "source": "shop", "dry_run": False}
    found = dispatch(request, plugins=[handlers], hooks=hooks)

    gone = found["hooks"].pop()
    assert found == {
        "id": "7",
        "dry_run": False,
        "ok": False,
        "hooks": [
            told("bad", 400, outcome="failed", error="it answered 400"),
            told("good", 202),
            told("busy", 200, 2),
            told("moved", 307, outcome="failed", error="it answered 307"),
        ],
        "handlers": [
            told("books", None),
            told("printer", None, outcome="failed", error="ValueError: no paper"),
        ],
        "event": None,
    }
    assert (gone["outcome"], gone["attempts"], gone["status"]) == ("failed", 3, None)
    assert gone["error"] == "http://127.0.0.1:1 cannot be reached: connection refused"
    assert handlers.seen == [("7", "order.paid", ["ü"], "shop")]
    assert other.connections == 0
    assert len({each.body for each in web.asked}) == 1
    event = json.loads(web.asked[0].body)
    assert (event["type"], event["source"], event["data"]) == ("order.paid", "shop", ["ü"])
    assert web.asked[0].headers["content-type"] == "application/cloudevents+json; charset=utf-8"


def test_a_signature_is_one_that_security_signature_verifies(web, dispatch):
    """With the time in it; another secret, another body or another time is not right."""
    web.on["/"] = web.reply(200)
    hook = {
        "url": web.url,
        "secret": "s3cret-s3cret",
        "header": "X-Shop",
        "secret_headers": {"X-Key": "hush-hush"},
    }
    found = dispatch({"topic": "a", "dry_run": False}, hooks={"shop": hook})
    [asked] = web.asked
    stamp = int(asked.headers["x-shop-timestamp"])

    async def main():
        settings = {"actions": {"settings": {"security.signature": {"timestamped": True}}}}
        async with assemble(settings, environment=False) as runtime:
            good = {
                "operation": "verify",
                "text": asked.body.decode(),
                "signature": asked.headers["x-shop"],
                "timestamp": stamp,
                "secret": "s3cret-s3cret",
            }
            changed = [{}, {"secret": "other"}, {"text": "{}"}, {"timestamp": stamp + 1}]
            return [
                (await runtime.call("action", "security.signature", good | each))["valid"] for each in changed
            ]

    assert found["ok"]
    assert asyncio.run(main()) == [True, False, False, False]
    assert asked.headers["x-key"] == "hush-hush"


def test_no_more_are_told_at_once_than_may_be(web, dispatch):
    """And as many as may."""
    now = most = 0

    async def slow(asked, writer):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        writer.write(web.reply(200))
        await writer.drain()

    web.on["/"] = slow
    hooks = {f"h{n}": {"url": web.url} for n in range(9)}
    found = dispatch({"topic": "a", "dry_run": False}, hooks=hooks, concurrency=3)

    assert [each["outcome"] for each in found["hooks"]] == ["told"] * 9
    assert most == 3


def test_one_that_hangs_costs_its_own_time_only(web, dispatch):
    """The others are told meanwhile."""

    async def silent(asked, writer):
        while not writer.is_closing():
            await writer.drain()
            await asyncio.sleep(0.005)

    web.on["/silent"] = silent
    web.on["/good"] = web.reply(200)
    hooks = {name: {"url": f"{web.url}/{name}"} for name in ("silent", "good")}
    found = dispatch({"topic": "a", "dry_run": False}, hooks=hooks, timeout=0.6)

    assert found["hooks"] == [
        told("silent", None, 1, "failed", f"{web.url} took longer than 0.6 s"),
        told("good"),
    ]


def test_a_host_that_is_left_alone_is_an_outcome_too(dispatch):
    """It failed too often, for the one before."""
    hooks = {name: {"url": f"http://127.0.0.1:1/{name}"} for name in ("one", "two")}
    request = {"topic": "a", "dry_run": False}
    found = dispatch(request, hooks=hooks, attempts=1, concurrency=1, breaker={"failures": 1})

    one, two = found["hooks"]
    assert (one["outcome"], one["attempts"]) == (two["outcome"], 1) == ("failed", 1)
    assert two["error"].startswith("http http://127.0.0.1:1 failed too often lately")


def test_a_private_address_is_not_told(web, dispatch):
    """Unless the settings allow it; that is an outcome, not an error."""
    request = {"topic": "a", "dry_run": False}
    found = dispatch(request, hooks={"shop": {"url": web.url}}, allow_private=False)

    said = "127.0.0.1 is at no public address, and others are not connected to"
    assert found["hooks"] == [told("shop", None, 1, "failed", said)]
    assert web.connections == 0


def test_the_settings_may_mean_it_and_leave_the_handlers_out(web, dispatch):
    """A request may still want a dry run, and name whom."""
    handlers = Handlers()
    web.on["/"] = web.reply(200)
    hooks = {"one": {"url": web.url}, "two": {"url": web.url}}
    real, dry = dispatch(
        {"topic": "order.paid", "hooks": ["two"]},
        {"topic": "order.paid", "dry_run": True},
        plugins=[handlers],
        hooks=hooks,
        dry_run=False,
        handlers=False,
    )

    assert (real["hooks"], real["handlers"], real["ok"]) == ([told("two")], [], True)
    assert ([each["name"] for each in dry["hooks"]], dry["handlers"]) == (["one", "two"], [])
    assert (len(web.asked), handlers.seen) == (1, [])


def test_without_the_domain_of_events_only_webhooks_are_told(web, dispatch):
    """It is switched off: nobody can have asked to be told."""
    web.on["/"] = web.reply(200)
    request = {"topic": "a", "dry_run": False}
    found = dispatch(request, hooks={"one": {"url": web.url}}, off=["domains.event"])

    assert (found["hooks"], found["handlers"]) == ([told("one")], [])


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({}, "topic: is missing; expected a text"),
        ({"topic": "a b"}, "'a b' is not a topic (a topic is made of segments"),
        ({"topic": "*"}, "'*' is not a topic"),
        ({"topic": "a", "id": ""}, "the id of an event is a text, found ''"),
        ({"topic": "a", "headers": {"X-A": "1"}}, "'X-A' is not a header of an event"),
        ({"topic": "a", "headers": {"data": "1"}}, "'data' is not a header of an event"),
        ({"topic": "a", "payload": float("nan")}, "payload: cannot be written as JSON in UTF-8"),
        ({"topic": "a", "payload": "\ud800"}, "payload: cannot be written as JSON in UTF-8"),
        ({"topic": "a", "payload": "x" * 1000}, "payload: is 1,2"),
        ({"topic": "a", "hooks": ["shp"]}, "hooks[0]: there is no webhook 'shp' (did you mean shop?)"),
        (
            {"topic": "a", "hooks": ["http://evil.test"]},
            "hooks[0]: there is no webhook 'http://evil.test' (there are:",
        ),
        ({"topic": "a", "url": "http://evil.test"}, "url: unknown key"),
    ],
    ids=range(12),
)
def test_what_does_not_fit_is_told_to_nobody(web, dispatch, request_, said):
    """It is said by its path."""
    web.on["/"] = web.reply(200)
    found = dispatch(request_, hooks={"shop": {"url": web.url}}, max_event=1000, dry_run=False)

    assert found.splitlines()[1].strip().startswith(said)
    assert web.connections == 0


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        ({"url": "ftp://a.test"}, "url is http:// or https:// with a host"),
        ({"url": "https://ann:pw@a.test"}, "url is http:// or https:// with a host"),
        ({"url": "https://a.test", "topics": []}, "topics names no topic; write ** for all"),
        ({"url": "https://a.test", "topics": ["a b"]}, "'a b' is no pattern of topics"),
        ({"url": "https://a.test", "secret": ""}, "secret is empty"),
        (
            {"url": "https://a.test", "secret_headers": {"X": "a\nb"}},
            "the value of X holds what may not stand",
        ),
        ({"url": "https://a.test", "headers": {"Host": "b"}}, "Host is set by the client itself"),
        ({"topics": ["a"]}, "url: is missing"),
    ],
    ids=range(8),
)
def test_a_webhook_that_cannot_be_told_is_said_at_once(dispatch, hook, said):
    """With its line, and none of its secrets."""
    with pytest.raises(SettingsError) as caught:
        dispatch({"topic": "a"}, hooks={"shop": hook})

    assert said in str(caught.value)
    assert "oneiric.toml:" in str(caught.value)
    assert "pw" not in str(caught.value)
    assert "a\nb" not in str(caught.value)
