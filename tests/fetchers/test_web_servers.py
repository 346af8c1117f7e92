"""``https:`` and ``http:``: hostile servers on real sockets.  W1 to W9 are the rules of the fetcher, B1 to B8 the kernel's."""

import datetime as dt
import email.utils
import gzip
import os
import socket
import subprocess
import sys
import threading
import time

import pytest
from oneiric_hookspecs import FetchError, Got, Secret, SettingsError

from oneiric.plugins.fetchers import _wire

BODY = b"a body\n" * 100


def failure(call, kind=FetchError):
    with pytest.raises(kind) as error:
        call()
    return error.value


def facts(error):
    return error.code, error.retryable, error.retry_after


def endless(connection, ended):
    connection.sendall(b"HTTP/1.1 200 Said\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not ended.is_set():
        connection.sendall(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")


def drip(start, piece):
    """Sends *piece* ten times a second for ever, behind *start*."""

    def does(connection, ended):
        connection.sendall(start)
        while not ended.wait(0.05):
            connection.sendall(piece)

    return does


def silent(connection, ended):
    ended.wait(60)


# --- what is well -------------------------------------------------------------------------------------------------


def test_file_is_what_the_server_sends(web, stream):
    """Bytes, and what the server knows them by; counted and recorded."""
    web.on["/shop/head.json"] = web.reply(200, b"head", ETag='"1"')
    io = stream(web.url)

    assert io.get("head.json", limit=16384) == Got(b"head", '"1"')
    assert (io.received, io.recorded) == (4, {"head.json": b"head"})


@pytest.mark.parametrize("slash", ["", "/"])
def test_query_of_the_address_is_sent_along(web, stream, slash):
    """A signed address is one, whether it ends with a slash or not."""
    web.on["/shop/head.json?sig=abc%2F"] = web.reply(200, b"head")

    assert stream(f"{web.url}{slash}?sig=abc%2F").get("head.json", limit=16384) == Got(b"head")


def test_unchanged_costs_no_body_and_no_connection(web, stream):
    """304 is believed of what is known, and the connection is used again."""
    web.on["/shop/head.json"] = web.reply(304, ETag='"1"', Content_Length=None)
    io = stream(web.url)

    assert [io.get("head.json", limit=16384, etag='"1"') for _ in range(3)] == [
        Got(b"", '"1"', unchanged=True)
    ] * 3
    assert (web.connections, 'If-None-Match: "1"' in web.asked[0], io.received) == (1, True, 0)


def test_unchanged_is_not_believed_of_what_is_not_known(web, stream, said):
    """A 304 that nobody asked for is an error."""
    web.on["/shop/head.json"] = web.reply(304, Content_Length=None)

    assert said(lambda: stream(web.url).get("head.json", limit=16384)) == "http-status"


@pytest.mark.parametrize("status", [404, 410, 403])
def test_absent_is_what_the_server_says_is_absent(web, stream, status):
    """W7: nothing else is."""
    web.on["/shop/keyrings/2.json"] = web.reply(status, b"no")

    assert stream(web.url).get("keyrings/2.json", limit=16384) is None


def test_signed_body_that_is_absent_may_come_yet(web, stream, ref):
    """A publisher may be between two files: it is tried again."""
    assert facts(failure(lambda: stream(web.url).body(ref(BODY)))) == ("unreachable", True, None)


# --- sizes and times ----------------------------------------------------------------------------------------------


def test_endless_head_ends_at_its_limit(web, stream, said):
    """B1: 16 KiB are taken, and no more."""
    web.on["/shop/head.json"] = endless
    io = stream(web.url)

    assert said(lambda: io.get("head.json", limit=16384)) == "too-large"
    assert io.received <= 16384


def test_endless_body_ends_at_the_signed_size(web, stream, said, ref):
    """B1, B3."""
    wanted = ref(BODY)
    web.on[f"/shop/{wanted.path}"] = endless
    io = stream(web.url)

    assert said(lambda: io.body(wanted)) == "size"
    assert io.received <= wanted.size


@pytest.mark.parametrize(
    "does",
    [
        drip(b"HTTP/1.1 200 Said\r\nContent-Length: 9999\r\n\r\n", b"x"),
        drip(b"HTTP/1.1 200 Said\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        drip(b"HTTP/1.1 200 Said\r\n", b"X-More: x\r\n"),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        drip(b"HTTP/1.1 200 Said\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x"),
        silent,
    ],
    ids=["body", "chunks", "headers", "continue", "extension", "nothing"],
)
def test_drip_ends_with_the_time_of_the_whole(web, stream, does):
    """B2, W5: each piece comes in time, and all of it does not."""
    web.on["/shop/head.json"] = does
    io = stream(web.url, patience=0.3)
    began = time.monotonic()

    assert facts(failure(lambda: io.get("head.json", limit=16384))) == ("deadline", True, None)
    assert time.monotonic() - began < 20


def test_server_that_never_greets_is_left(web, stream):
    """W5: neither its certificate comes nor anything else."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        io = stream(f"https://127.0.0.1:{deaf.getsockname()[1]}/", connect_timeout=0.2)
        began = time.monotonic()

        assert facts(failure(lambda: io.get("head.json", limit=16384))) == ("unreachable", True, None)
        assert time.monotonic() - began < 20


def test_large_file_has_time_by_its_size(web, stream, ref):
    """B2: the time grows with what was signed."""
    web.on[f"/shop/{ref(BODY).path}"] = silent
    io = stream(web.url, patience=0.1, rate=len(BODY) / 0.3)
    began = time.monotonic()

    assert failure(lambda: io.body(ref(BODY))).code == "deadline"
    assert 0.4 <= time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"HTTP/1.1 200 Said\r\nContent-Length: 700\r\n\r\n" + BODY[:300], "unreachable"),
        (b"HTTP/1.1 200 Said\r\nContent-Length: 300\r\n\r\n" + BODY, "size"),
        (b"HTTP/1.1 200 Said\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "unreachable"),
        (b"HTTP/1.1 200 Said\r\n\r\n" + BODY[:-1], "size"),
        (b"HTTP/1.1 200 Said\r\n\r\n" + BODY + b"!", "size"),
        (b"HTTP/1.1 200 Said\r\n\r\n" + BODY[:-1] + b"!", "digest"),
        (b"HTTP/1.1 200 Said\r\nContent-Length: -5\r\n\r\n" + BODY, "unreachable"),
        (b"HTTP/1.1 200 Said\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n" + BODY, "unreachable"),
        (b"\x00\x01\x02\x03 what?\r\n\r\n", "unreachable"),
        (b"", "unreachable"),
        (b"HTTP/1.1 200 Said\r\nX: " + b"y" * 200_000 + b"\r\n\r\n", "unreachable"),
        (b"HTTP/1.1 200 Said\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "unreachable"),
        (b"HTTP/1.1 206 Part\r\nContent-Range: bytes 0-9/700\r\n\r\n" + BODY[:10], "http-status"),
    ],
)
def test_body_is_whole_or_nothing(web, stream, said, ref, answer, code):
    """B3: short, long, cut off, other bytes, no HTTP: none of it is given out."""

    def does(connection, ended):
        connection.sendall(answer)

    web.on[f"/shop/{ref(BODY).path}"] = does

    assert said(lambda: stream(web.url).body(ref(BODY))) == code


def test_body_is_given_out_when_it_is_what_was_signed(web, stream, ref, tmp_path):
    """B3, into memory and into a file."""
    web.on[f"/shop/{ref(BODY).path}"] = web.reply(200, BODY)
    io = stream(web.url)

    with (tmp_path / "blob").open("wb") as into:
        io.artifact(ref(BODY), into)
    assert (io.body(ref(BODY)), (tmp_path / "blob").read_bytes(), io.digests) == (BODY, BODY, 2)


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "identity, gzip", "GZIP"])
def test_nothing_is_unpacked(web, stream, encoding):
    """W2: 64 MiB of zeros in 64 KiB are 64 KiB that are refused."""
    bomb = gzip.compress(bytes(1 << 20))
    web.on["/shop/head.json"] = web.reply(200, bomb, Content_Encoding=encoding)
    io = stream(web.url)

    assert facts(failure(lambda: io.get("head.json", limit=16384))) == ("encoding", False, None)
    assert (io.received, "Accept-Encoding: identity\r\n" in web.asked[0]) == (0, True)


# --- where ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "where", ["/shop/else.json", "http://127.0.0.1:9/", "file:///etc/passwd", "https://a.test/"]
)
def test_nobody_is_led_anywhere_by_default(web, stream, status, where):
    """W3: not even to the same server."""
    web.on["/shop/head.json"] = web.reply(status, Location=where)
    web.on["/shop/else.json"] = web.reply(200, b"head")

    assert facts(failure(lambda: stream(web.url).get("head.json", limit=16384))) == ("redirect", False, None)
    assert len(web.asked) == 1


@pytest.mark.parametrize("header", ["Authorization", "X-Api-Key", "Cookie"])
def test_listed_host_is_followed_to_by_tls_and_without_the_credential(
    web, other, stream, certificate, header
):
    """W3, W4: whatever the header is called; and what it is known by goes along."""
    web.on["/shop/head.json"] = web.reply(302, Location=f"{other.url}/moved?x=1")
    other.on["/shop/moved?x=1"] = web.reply(200, b"head", ETag='"1"')
    io = stream(
        web.url,
        redirects=(f"127.0.0.1:{other.port}",),
        credential=Secret("hush"),
        header=header,
        ca_file=os.fspath(certificate[0]),
    )

    assert io.get("head.json", limit=16384) == Got(b"head", '"1"')
    assert ("hush" in web.asked[0], "hush" in "".join(other.asked)) == (True, False)


@pytest.mark.parametrize(
    ("where", "code"),
    [
        ("http://127.0.0.1:{port}/shop/moved", "origin"),
        ("https://127.0.0.1:1/shop/moved", "origin"),
        ("https://localhost:{port}/shop/moved", "origin"),
        ("https://127.0.0.1:{port}@evil.test/", "redirect"),
        ("//evil.test/", "redirect"),
        ("file:///etc/passwd", "redirect"),
        ("https://[::1", "redirect"),
        ("https://evil.test\\@127.0.0.1/", "redirect"),
        ("", "redirect"),
        ("x" * 9000, "redirect"),
    ],
)
def test_nobody_is_led_to_what_is_not_listed(web, other, stream, said, where, code):
    """W3: another scheme, port or name is another place, and so is what hides one."""
    web.on["/shop/head.json"] = web.reply(302, Location=where.format(port=other.port))
    io = stream(web.url, redirects=(f"127.0.0.1:{other.port}",))
    found = said(lambda: io.get("head.json", limit=16384))

    assert (found in {code, "origin"}, other.asked) == (True, [])


def test_circle_of_redirects_ends(other, stream, said, certificate):
    """W3: after five."""
    other.on["/shop/head.json"] = other.reply(307, Location="/shop/head.json")
    io = stream(other.url, redirects=(f"127.0.0.1:{other.port}",), ca_file=os.fspath(certificate[0]))

    assert (said(lambda: io.get("head.json", limit=16384)), len(other.asked)) == ("redirect", 6)


@pytest.mark.parametrize(
    ("header", "line"), [("Authorization", "Authorization: Bearer hush"), ("X-Key", "X-Key: hush")]
)
def test_credential_goes_to_its_origin(web, stream, header, line):
    """W4: and as what it is."""
    web.on["/shop/head.json"] = web.reply(200, b"head")
    stream(web.url, credential=Secret("hush"), header=header).get("head.json", limit=16384)

    assert f"\r\n{line}\r\n" in web.asked[0]


@pytest.mark.parametrize(
    ("header", "credential"),
    [("Host", "x"), ("No Header", "x"), ("X-Key", "a\r\nX: y"), ("X-Key", "ä"), ("X-Key", "")],
)
def test_credential_that_cannot_be_sent_is_not(stream, header, credential):
    """W9: it is said before anything is asked, and without it."""
    error = failure(
        lambda: stream("https://shop.test/", credential=Secret(credential), header=header), SettingsError
    )

    assert len(str(error).splitlines()) == 1
    assert not credential.strip("x") or credential not in str(error)


@pytest.mark.parametrize(
    "url",
    ["http://shop.test/", "http://10.0.0.1/", "http://127.0.0.1.evil.test/", "http://127.1/", "http://0x7f000001/",
     "http://[::ffff:10.0.0.1]/", "http://169.254.169.254/latest", "http://localhost.evil.test/", "http://0.0.0.0/"],
)  # fmt: skip
def test_http_goes_to_this_machine_only(stream, url):
    """W1: and no other way of writing an address makes one of it."""
    assert facts(failure(lambda: stream(url))) == ("origin", False, None)


def test_localhost_is_this_machine_where_it_is(web, stream, monkeypatch):
    """W1: its address is looked at, and what was looked at is connected to."""
    web.on["/shop/head.json"] = web.reply(200, b"head")
    io = stream(web.url.replace("127.0.0.1", "localhost"))
    assert io.get("head.json", limit=16384) == Got(b"head")

    elsewhere = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", web.port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: elsewhere)
    io = stream(web.url.replace("127.0.0.1", "localhost"))
    assert facts(failure(lambda: io.get("head.json", limit=16384))) == ("origin", False, None)


def test_name_that_nobody_answers_for_keeps_nobody(stream, monkeypatch):
    """W5: the system's patience is not ours."""
    ended = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait(60) and [])
    io = stream("https://shop.test/", connect_timeout=0.1)
    began = time.monotonic()
    try:
        assert facts(failure(lambda: io.get("head.json", limit=16384))) == ("unreachable", True, None)
        assert time.monotonic() - began < 20
    finally:
        ended.set()


@pytest.mark.parametrize(
    "url",
    ["https://", "https://ann:pw@shop.test/", "https://shop.test:0/", "https://shop.test:99999/", "https://sh op/",
     "https://shöp.test/", "https://shop.test\\@x/", "https://[::1/", "https://a..b/", "https://" + "x" * 9000],
)  # fmt: skip
def test_what_is_no_address_is_a_problem_of_the_settings(stream, url):
    """One line that names the setting, and nothing private."""
    error = failure(lambda: stream(url), SettingsError)

    assert str(error).startswith("remote.shop.url: ") and len(str(error).splitlines()) == 1
    assert "pw" not in str(error)


# --- tls ------------------------------------------------------------------------------------------------------------


def test_certificate_that_is_trusted(other, stream, certificate):
    """``ca_file`` stands in for the system's."""
    other.on["/shop/head.json"] = other.reply(200, b"head")

    assert stream(other.url, ca_file=os.fspath(certificate[0])).get("head.json", limit=16384) == Got(b"head")


def test_certificate_of_a_stranger(other, stream):
    """It is said, with what to do."""
    error = failure(lambda: stream(other.url).get("head.json", limit=16384))

    assert (facts(error), other.asked) == (("unreachable", True, None), [])
    assert "is not believed to be itself" in str(error) and "ca_file" in str(error)


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_certificates_that_cannot_be_read(stream, tmp_path, content):
    """Nobody is asked without them."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)

    assert facts(
        failure(lambda: stream("https://127.0.0.1:1/", ca_file=str(file)).get("head.json", limit=1))
    ) == (
        "io",
        False,
        None,
    )


def test_environment_changes_nothing(web, other, stream, certificate, monkeypatch):
    """W8: no proxy is asked, and no certificate believed."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("SSL_CERT_FILE", os.fspath(certificate[0]))
    monkeypatch.setattr(_wire, "_system", _wire._system.__wrapped__)  # as in a process that begins
    web.on["/shop/head.json"] = web.reply(200, b"head")

    assert stream(web.url).get("head.json", limit=16384) == Got(b"head")
    assert "is not believed" in str(failure(lambda: stream(other.url).get("head.json", limit=16384)))


# --- what the server wants --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "retryable"), [(500, True), (502, True), (503, True), (429, True), (408, True), (401, False), (400, False), (204, False)]
)  # fmt: skip
def test_other_answers_are_failures(web, stream, status, retryable):
    """Whether it is worth trying again is told, and nobody tries (W6)."""
    web.on["/shop/head.json"] = web.reply(status, Content_Length=None if status == 204 else 0)

    assert facts(failure(lambda: stream(web.url).get("head.json", limit=16384))) == (
        "http-status",
        retryable,
        None,
    )
    assert len(web.asked) == 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("0", 0.0), ("99999", 99999.0), ("9" * 400, 1e9), ("-5", None), ("soon", None), ("", None), ("1e9", None),
     ("²", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("Wed, 99 Oct 2015 07:28:00 GMT", None), ("nan", None)],
)  # fmt: skip
def test_time_that_the_server_names(web, stream, value, seconds):
    """W6: as it says it, or nothing; nobody waits for it here."""
    web.on["/shop/head.json"] = web.reply(429, Retry_After=value)

    assert facts(failure(lambda: stream(web.url).get("head.json", limit=16384))) == (
        "http-status",
        True,
        seconds,
    )


def test_date_that_the_server_names(web, stream):
    """W6: a date is told as seconds from now."""
    then = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    web.on["/shop/head.json"] = web.reply(503, Retry_After=email.utils.format_datetime(then, usegmt=True))

    assert 3590 < failure(lambda: stream(web.url).get("head.json", limit=16384)).retry_after <= 3600


# --- what is told -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "does",
    [
        b"HTTP/1.1 500 Said\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Said\r\nLocation: https://evil.test/?token=hush\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 Said\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 Said\r\nContent-Length: 5\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"",
    ],
)
def test_errors_tell_no_query_and_no_credential(web, stream, does):
    """W9, in one to three lines."""

    def send(connection, ended):
        connection.sendall(does)

    web.on["/shop/head.json?token=hush"] = send
    io = stream(f"{web.url}?token=hush", credential=Secret("hush"), redirects=("shop.test",))
    error = failure(lambda: io.get("head.json", limit=16384))

    assert "hush" not in f"{error}{error!r}" and len(str(error).splitlines()) <= 3


def test_library_is_imported_when_somebody_asks():
    """Not when the plugins are loaded, nor when a source is opened."""
    code = (
        "import sys; from oneiric import assemble; from oneiric_hookspecs import SourceSpec, specs\n"
        "from oneiric.remote.transport import open_source\n"
        "runtime = assemble({'state': {'url': 'memory:'}}, environment=False)\n"
        "open_source(SourceSpec('shop', 'https://shop.test/'), runtime.hooks[specs.oneiric_fetchers].answers())\n"
        "print([name for name in ('httpx', 'httpcore', 'h11') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout == "[]\n"
