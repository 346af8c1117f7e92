"""workflow.notify: by the adapter where there is one, else by the log; never dropped silently."""

import pytest
from oneiric_hookspecs import ActionError, Candidate, Key, Messaging, NotServing, OneiricError, hookimpl

KEY = "workflow.notify"


class Post:
    """A messaging adapter that keeps what it was given."""

    def __init__(self):
        self.sent = []

    async def send(self, message, *, level="info", channel=None, recipients=()):
        if message == "fail":
            raise ConnectionError("the server\nhung up")
        self.sent.append((message, level, channel, recipients))
        return f"post-{len(self.sent)}"


class Adapters:
    """A plugin that brings it."""

    def __init__(self, post):
        self.post = post

    @hookimpl
    def oneiric_candidates(self):
        def create():
            return self.post

        yield Candidate(Key.of("adapter", "messaging"), "post", create, own=False)


@pytest.fixture
def post(kits):
    """The adapter, plugged in."""
    post = Post()
    kits.options["plugins"] = [Adapters(post)]
    return post


def test_the_adapter_is_asked(kits, post):
    """With everything that was given; what it says comes back."""
    asked = {"message": "hi\nthere", "level": "error", "channel": "ops", "recipients": ["ann", "bob"]}

    assert isinstance(post, Messaging)
    assert kits.calls(KEY, [asked, {"message": "m"}]) == [
        {"by": "adapter", "provider": "post", "id": "post-1", "channel": "ops", "recipients": ["ann", "bob"]},
        {"by": "adapter", "provider": "post", "id": "post-2", "channel": "", "recipients": []},
    ]
    assert post.sent == [("hi\nthere", "error", "ops", ("ann", "bob")), ("m", "info", None, ())]


def test_without_an_adapter_it_is_logged(kits, caplog):
    """At its level, on one line; the result says so."""
    caplog.set_level("DEBUG")
    result = kits.call(KEY, message="a\nb", level="critical", channel="ops", recipients=["ann"])

    assert result == {"by": "log", "provider": None, "id": None, "channel": "ops", "recipients": ["ann"]}
    assert [(each.levelname, each.getMessage()) for each in caplog.records if each.name.endswith(KEY)] == [
        ("CRITICAL", "a\\nb (in ops to ann)")
    ]


def test_an_adapter_that_fails_is_an_error(kits, post, caplog):
    """It is not logged instead."""
    [said] = kits.refusals(KEY, [{"message": "fail"}])

    assert said == "workflow.notify: adapter:messaging did not send it: ConnectionError: the server hung up"
    assert [each for each in caplog.records if each.name.endswith(KEY)] == []


def test_an_adapter_that_does_not_serve_is_an_error(kits, post):
    """Paused or broken, the caller hears of it."""

    def broken():
        raise RuntimeError("no")

    class Broken:
        @hookimpl
        def oneiric_candidates(self):
            yield Candidate(Key.of("adapter", "messaging"), "broken", broken)

    kits.options["plugins"] = [Broken()]

    with pytest.raises(OneiricError) as caught:
        kits.call(KEY, message="m")
    assert not isinstance(caught.value, (ActionError, NotServing))
    assert "no" in str(caught.value)


def test_the_settings_say_whom(kits, post):
    """Where the request does not; an empty list is nobody."""
    kits.settings(f'[actions.settings."{KEY}"]\nchannel = "ops"\nrecipients = ["ann"]\nchannels = ["dev"]\n')
    asked = [{"message": "m"}, {"message": "m", "channel": "dev", "recipients": []}]

    assert [(each["channel"], each["recipients"]) for each in kits.calls(KEY, asked)] == [
        ("ops", ["ann"]),
        ("dev", []),
    ]
    assert kits.refused(KEY, message="m", channel="ops")[0] == "channel: 'ops' is not allowed; allowed: dev"


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({}, "message: is missing; expected a text"),
        ({"message": "\n"}, "message is empty"),
        ({"message": "m" * 11}, "message: has 11 characters, and 10 are allowed"),
        ({"message": "m", "recipients": ["a", "b", "c"]}, "recipients: are 3, and 2 are allowed"),
        ({"message": "m", "recipients": "ann"}, "recipients: expected a list, found 'ann'"),
        ({"message": "m", "recipients": [True]}, "recipients[0]: expected a text, found true"),
        ({"message": "m", "recipients": ["a\r\nBcc: b"]}, "a channel or recipient has 1 to 320 characters"),
        ({"message": "m", "channel": ""}, "a channel or recipient has 1 to 320 characters"),
        ({"message": "m", "level": "loud"}, "level: expected one of "),
        ({"message": "m", "chanel": "x"}, "chanel: unknown key (did you mean channel?)"),
    ],
    ids=range(10),
)
def test_what_does_not_fit_is_not_sent(kits, post, request_, said):
    """It is said by its path, and the adapter hears nothing."""
    kits.settings(f'[actions.settings."{KEY}"]\nmax_message = 10\nmax_recipients = 2\n')
    line = kits.refused(KEY, **request_)[0]

    assert line.startswith(said)
    assert post.sent == []
