"""http.fetch: what is asked arrives, and what is answered comes back."""

import json

import pytest

KEY = "http.fetch"


def test_an_answer_is_a_typed_result(web, fetch):
    """All of it, whatever the status; two requests share a connection."""
    web.on["/v1/orders"] = web.reply(
        404, "schön".encode(), Content_Type="text/plain", X_One="1", Set_Cookie="a=b"
    )
    base = f"{web.url}/v1"
    found = fetch(
        {"path": "orders", "params": {"q": ["a b", 1], "all": True}, "headers": {"X-Me": "you"}},
        {"url": f"{web.url}/v1/orders"},
        base_url=base,
        headers={"Accept": "text/plain"},
        secret_headers={"X-Key": "hush-hush"},
        bearer="t0ken-t0ken",
    )

    seconds = found[0].pop("seconds")
    assert 0 <= seconds < 10
    assert found[0] == {
        "status": 404,
        "ok": False,
        "headers": {"content-length": "6", "content-type": "text/plain", "x-one": "1"},
        "cookies": ["a=b"],
        "text": "schön",
        "base64": None,
        "bytes": 6,
        "url": f"{base}/orders?q=a+b&q=1&all=true",
        "redirects": [],
        "attempts": 1,
        "version": "HTTP/1.1",
    }
    assert web.asked[0].headers == {
        "host": f"127.0.0.1:{web.port}",
        "accept-encoding": "gzip, deflate",
        "accept": "text/plain",
        "user-agent": "oneiric",
        "x-key": "hush-hush",
        "authorization": "Bearer t0ken-t0ken",
        "x-me": "you",
    }
    assert "cookie" not in web.asked[1].headers
    assert web.connections == 1


@pytest.mark.parametrize(
    ("body", "kind", "sent"),
    [
        ({"json": {"a": ["ü", None]}}, "application/json", '{"a":["ü",null]}'.encode()),
        ({"data": {"a": "b c", "d": [1, False]}}, "application/x-www-form-urlencoded", b"a=b+c&d=1&d=false"),
        ({"text": "ü"}, "text/plain; charset=utf-8", "ü".encode()),
        ({"base64": "AP8="}, "application/octet-stream", b"\0\xff"),
        ({"text": "<a/>", "headers": {"content-type": "text/xml"}}, "text/xml", b"<a/>"),
    ],
    ids=["json", "data", "text", "base64", "own type"],
)
def test_a_body_is_sent_as_it_is_given(web, fetch, body, kind, sent):
    """With its kind, and its length."""
    web.on["/"] = web.reply(201)
    assert fetch({"method": "POST", "url": web.url, **body})["status"] == 201

    [asked] = web.asked
    assert (asked.method, asked.body) == ("POST", sent)
    assert (asked.headers["content-type"], asked.headers["content-length"]) == (kind, str(len(sent)))


@pytest.mark.parametrize(
    ("body", "kind", "text", "in_base64"),
    [
        (b"\xfc", "text/plain; charset=ISO-8859-1", "ü", None),
        (b"\xfc", "text/plain", None, "/A=="),
        (b"x", 'text/plain; charset="zip"', None, "eA=="),
        (b"", "image/png", "", None),
    ],
    ids=["charset", "no utf-8", "no charset", "empty"],
)
def test_a_body_is_a_text_where_it_is_one(web, fetch, body, kind, text, in_base64):
    """In the charset that it says, else UTF-8; otherwise it comes in base64."""
    web.on["/"] = web.reply(200, body, Content_Type=kind)
    found = fetch({"url": web.url})

    assert (found["text"], found["base64"]) == (text, in_base64)


def test_the_settings_may_want_a_good_status(web, fetch):
    """Then another one is an error, which does not show the path."""
    web.on["/secret"] = web.reply(403)

    assert fetch({"url": f"{web.url}/secret"}, raise_for_status=True) == (
        f"http.fetch: {web.url} answered 403\n"
        '  see the setting actions.settings."http.fetch".raise_for_status'
    )


def test_head_has_no_body_however_long_it_says_it_is(web, fetch):
    """Its length is that of another method's."""

    async def head(asked, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\nContent-Encoding: gzip\r\n\r\n")
        await writer.drain()

    web.on["/"] = head
    found = fetch({"method": "HEAD", "url": web.url}, max_bytes=10)

    assert (found["status"], found["bytes"], found["headers"]["content-length"]) == (200, 0, "999999999")


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({}, "give one of url and path"),
        ({"url": "http://a.test", "path": "b"}, "give one of url and path"),
        ({"url": "http://a.test", "json": 1, "text": "x"}, "there is one body, found json and text"),
        ({"url": "/orders"}, "url: begins with http:// or https://; give a path as path"),
        ({"url": "ftp://a.test/"}, "url: begins with http:// or https://, found 'ftp'"),
        ({"url": "http+unix://%2Ftmp%2Fs/"}, "url: begins with http:// or https://, found 'http+unix'"),
        ({"url": "http://"}, "url: names no host"),
        ({"url": "http:///x"}, "url: names no host"),
        ({"url": "http://ann:pw@a.test/"}, "url: holds a user or a password; give them in a header"),
        ({"url": "http://a.test\\@b.test/"}, "url: holds a user or a password; give them in a header"),
        ({"url": "http://a.test:0/"}, "url: has the port 0; there are 1 to 65535"),
        ({"url": "http://a.test:65536/"}, "url: has the port 65536; there are 1 to 65535"),
        ({"url": "http://a.test:-1/"}, "url: has the port -1; there are 1 to 65535"),
        ({"url": "http://a.test:x/"}, "url: is no URL: Invalid port: 'x'"),
        ({"url": "http://a b/"}, "url: has a host that is no name and no address"),
        ({"url": "http://a%2eb/"}, "url: has a host that is no name and no address"),
        ({"url": "http://[::1/"}, "url: is no URL"),
        ({"url": "http://a.test/\r\nX: y"}, "url: is no URL"),
        ({"url": "http://a.test/" + "x" * 20_000}, "url: has 20,014 characters, and 16,384 are allowed"),
        ({"url": "http://\ud800.test/"}, "url: is no URL"),
        ({"url": "http://２１.test/"}, "url: is no URL"),
        ({"path": "x"}, "path: is a path, and there is no base_url"),
        (
            {"url": "http://a.test", "params": {"a": None}},
            "params.a: expected a text, a number, true or false",
        ),
        ({"url": "http://a.test", "params": {"a": "\ud800"}}, "params: hold half a surrogate pair"),
        (
            {"url": "http://a.test", "params": {"a": "x" * 20_000}},
            "params: make a URL longer than 16,384 characters",
        ),
        ({"url": "http://a.test", "headers": {"X\r\nY": "1"}}, "headers: 'X\\r\\nY' is no name of a header"),
        (
            {"url": "http://a.test", "headers": {"X": "1\r\nY: 2"}},
            "headers: the value of X holds what may not",
        ),
        ({"url": "http://a.test", "headers": {"X": "ü"}}, "headers: the value of X holds what may not"),
        ({"url": "http://a.test", "headers": {"X": " 1"}}, "headers: the value of X holds what may not"),
        ({"url": "http://a.test", "headers": {"HOST": "b"}}, "headers: HOST is set by the client itself"),
        (
            {"url": "http://a.test", "headers": {"Content-Length": "0"}},
            "headers: Content-Length is set by the client",
        ),
        (
            {"url": "http://a.test", "headers": {"x": "1", "X": "2"}},
            "headers: X is there twice, in other letters",
        ),
        (
            {"url": "http://a.test", "headers": {"x": "y" * 40_000}},
            "headers: are 40,001 bytes long, and 32,768",
        ),
        ({"url": "http://a.test", "headers": {"x": 1}}, "headers.x: expected a text, found 1"),
        ({"url": "http://a.test", "text": "x" * 101}, "body: is 101 bytes long, and 100 are allowed"),
        ({"url": "http://a.test", "text": "\ud800"}, "text: character 0 is half a surrogate pair"),
        ({"url": "http://a.test", "base64": "!"}, "base64: is not base64"),
        ({"url": "http://a.test", "method": "TRACE"}, "method: expected one of "),
        ({"url": "http://a.test", "timeout": 0}, "timeout"),
        ({"url": "http://a.test", "timeout": 31}, "timeout: is at most 30 seconds, found 31"),
    ],
    ids=range(40),
)
def test_what_cannot_be_asked_is_said_before_anybody_is(fetch, request_, said):
    """By its field."""
    lines = fetch(request_, max_sent=100).splitlines()

    assert lines[0] == "the request does not fit http.fetch"
    assert lines[1].strip().startswith(said)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("a/b?c=d#e", "/v1/a/b?c=d"),
        ("/a", "/v1/a"),
        ("//evil.test/a", "/v1/evil.test/a"),
        ("http://evil.test/a", "/v1/http://evil.test/a"),
        ("@evil.test/", "/v1/@evil.test/"),
        ("", "/v1/"),
        ("a/../../b", None),
        ("%2e%2E/b", None),
        ("..\\b", None),
    ],
    ids=range(9),
)
def test_a_path_stays_below_its_base(web, fetch, path, asked):
    """Whatever it looks like."""
    found = fetch({"path": path}, base_url=f"{web.url}/v1/")

    assert web.heads == ([f"GET {asked}"] if asked else [])
    assert asked or "path: leads out of base_url, or could" in found


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"base_url": "ftp://a"}, "base_url is http:// or https:// with a host"),
        ({"base_url": "http://ann:pw@a/"}, "base_url is http:// or https:// with a host"),
        ({"hosts": ["http://a"]}, "hosts are names such as shop.example"),
        ({"networks": ["10.1.0.1/16"]}, "networks are networks such as 10.1.0.0/16"),
        ({"timeout": 0.0}, "timeout is more than 0 and at most 86400 seconds"),
        ({"headers": {"Host": "x"}}, "headers: Host is set by the client itself"),
        ({"secret_headers": {"X": "a\nb"}}, "headers: the value of X holds what may not stand in a header"),
        ({"bearer": "x"}, "a secret is sent to whoever is asked: say to whom, by base_url or hosts"),
        ({"retry_statuses": [200]}, "retry_statuses are 400 to 599"),
        ({"base_ulr": "x"}, "unknown key (did you mean base_url?)"),
    ],
    ids=range(10),
)
def test_settings_that_cannot_be_kept_are_said_at_once(fetch, settings, said):
    """With their line, before anything is asked."""
    from oneiric_hookspecs import SettingsError

    with pytest.raises(SettingsError) as caught:
        fetch({"url": "http://a.test"}, **settings)

    assert said in str(caught.value)
    assert "oneiric.toml:" in str(caught.value)
    assert "a\nb" not in str(caught.value)


def test_a_secret_comes_by_reference_and_is_never_shown(web, tmp_path, monkeypatch, capsys):
    """It goes to the host that it is for, and nowhere else."""
    from oneiric.cli import main

    monkeypatch.setenv("SHOP_KEY", "k3y-k3y-k3y")
    monkeypatch.chdir(tmp_path)
    web.on["/a"] = web.reply(200, b"k3y-k3y-k3y")
    (tmp_path / "oneiric.toml").write_text(
        f"""
        [secrets]
        shop = "env:SHOP_KEY"
        [actions.settings."http.fetch"]
        base_url = "{web.url}"
        allow_private = true
        secret_headers = {{ X-Key = {{ "$secret" = "shop" }} }}
        """
    )
    with pytest.raises(SystemExit) as ended:
        main(["action", "invoke", KEY, "--param", "path=a", "--json"])

    out, err = capsys.readouterr()
    assert (ended.value.code or 0, err) == (0, "")
    assert web.asked[0].headers["x-key"] == "k3y-k3y-k3y"
    assert json.loads(out)["result"]["text"] == "***"
