"""The rules of ``oneiric.plugins._http``, by their number, against servers that keep none."""

import asyncio
import gzip
import os
import socket
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneiric import assemble
from oneiric.plugins._http.addresses import permitted
from oneiric.plugins._http.client import Client
from oneiric.plugins._http.decoding import Body
from oneiric.plugins._http.errors import HttpError, Refused, TooLarge, Unfit, Unreachable
from oneiric.plugins._http.messages import Asked
from oneiric.plugins._http.policy import Policy
from oneiric.plugins._http.urls import Places

ROOT = Path(__file__).parents[2]
HIDDEN = {
    "Authorization": "Bearer t",
    "X-Api-Key": "k",
    "Cookie": "a=b",
    "Accept": "text/x",
    "User-Agent": "me",
}


def asked(policy, *requests, resolve=None):
    """What a client of *policy* gives to each request, or how it fails."""

    async def main():
        found = []
        async with assemble({}, environment=False) as runtime:
            client = Client(policy, runtime, resolve=resolve)
            for request in requests:
                try:
                    found.append(await client.request(request))
                except (HttpError, Unfit) as error:
                    found.append(error)
            await client.aclose()
        return found

    return asyncio.run(main())


# --- H1: hosts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hosts", "base", "url", "allowed"),
    [
        (None, "", "http://a.test/", True),
        (None, "https://a.test/v1", "https://A.TEST:443/x", True),
        (None, "https://a.test", "https://a.test:8443/", False),
        (None, "https://a.test", "http://a.test/", False),
        (None, "https://a.test", "https://b.test/", False),
        (("a.test",), "", "http://a.test:81/", True),
        (("a.test:80",), "", "http://a.test/", True),
        (("a.test:80",), "", "http://a.test:81/", False),
        (("a.test.",), "", "http://a.test/", True),
        (("a.test",), "", "http://a.test./", True),
        (("*.a.test",), "", "http://b.c.a.test/", True),
        (("*.a.test",), "", "http://a.test/", False),
        (("*.a.test",), "", "http://evila.test/", False),
        (("a.test",), "", "http://a.test.evil.test/", False),
        (("bücher.test",), "", "http://xn--bcher-kva.test/", True),
        (("[::1]",), "", "http://[0:0:0:0:0:0:0:1]:5/", True),
        (("[::1]:5",), "", "http://[::1]/", False),
        (("127.0.0.1",), "", "http://2130706433/", False),
        (("*:443",), "", "https://a.test/", True),
        (("*:443",), "", "http://a.test/", False),
        ((), "", "http://a.test/", False),
        (("b.test",), "https://a.test", "https://a.test/", False),
    ],
    ids=range(22),
)
def test_h1_hosts(hosts, base, url, allowed):
    """By name and port; what is not written means any port of a host, and the one of a base."""
    places = Places(Policy(hosts=hosts, base_url=base))
    try:
        places.admit(places.url(url))
        found = True
    except Refused as error:
        found = False
        assert error.setting == ("hosts" if hosts is not None else "base_url")
    assert found == allowed


def test_h1_another_host_is_not_asked(web, fetch):
    """It hears nothing."""
    said = fetch({"url": web.url}, hosts=["a.test"])

    assert said.splitlines() == [
        f"http.fetch: {web.url} is none of the hosts that may be asked",
        '  see the setting actions.settings."http.fetch".hosts',
    ]
    assert web.connections == 0


def test_h1_a_redirect_leads_to_no_other_host(web, other, fetch):
    """Which is not asked."""
    web.on["/"] = web.reply(302, Location=f"{other.url}/")
    said = fetch({"url": web.url}, hosts=[f"127.0.0.1:{web.port}"])

    assert said.splitlines()[0] == f"http.fetch: {other.url} is none of the hosts that may be asked"
    assert (web.heads, other.heads) == (["GET /"], [])


@given(st.text(max_size=60) | st.text("htps:/@\\?#[]%.a1\t\n\0ü\ud800 ", max_size=40).map("http://".__add__))
def test_h1_any_text_is_a_url_with_a_host_or_none(text):
    """There is one reading of it, and nothing else comes out."""
    places = Places(Policy(base_url="http://base.test:8080/v1"))
    try:
        url = places.url(text)
    except Unfit:
        return
    assert url.scheme in ("http", "https")
    assert url.raw_host
    assert not url.userinfo
    assert str(places.url(str(url))) == str(url)
    if "://" not in text:
        assert str(url).startswith("http://base.test:8080/v1/")


# --- H2, H3: addresses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "by_default", "with_private"),
    [
        ("93.184.216.34", True, True),
        ("2606:2800:220:1::1", True, True),
        ("127.0.0.1", False, True),
        ("127.255.255.254", False, True),
        ("10.0.0.1", False, True),
        ("172.31.255.255", False, True),
        ("192.168.0.1", False, True),
        ("100.64.0.1", False, True),
        ("::1", False, True),
        ("fd00::1", False, True),
        ("::ffff:127.0.0.1", False, True),
        ("::ffff:93.184.216.34", True, True),
        ("64:ff9b::7f00:1", False, True),
        ("64:ff9b::5db8:d822", True, True),
        ("2002:7f00:1::", False, True),
        ("0.0.0.0", False, False),
        ("0.1.2.3", False, False),
        ("::", False, False),
        ("169.254.169.254", False, False),
        ("::ffff:169.254.169.254", False, False),
        ("fe80::1%eth0", False, False),
        ("224.0.0.1", False, False),
        ("ff02::1", False, False),
        ("240.0.0.1", False, False),
        ("255.255.255.255", False, False),
        ("192.0.2.1", False, False),
        ("198.18.0.1", False, False),
        ("2001:db8::1", False, False),
        ("2001:0:1::1", False, False),
        ("::127.0.0.1", False, False),
    ],
    ids=str,
)
def test_h3_addresses(address, by_default, with_private):
    """Public ones; private ones where they are allowed; those of links, groups and examples never."""
    found = [permitted(address, private=private, networks=()) for private in (False, True)]

    assert found == [by_default, with_private]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0"]
)
def test_h3_a_private_address_however_it_is_written(web, fetch, host):
    """Nobody hears of it."""
    said = fetch({"url": f"http://{host}:{web.port}/"}, allow_private=False)

    assert " is at no public address, and others are not connected to" in said
    assert 'actions.settings."http.fetch".allow_private' in said
    assert web.connections == 0


def test_h3_a_private_address_by_a_redirect(web, other, fetch):
    """The first one is allowed by its network, the second one is not."""
    web.on["/"] = web.reply(307, Location=f"http://127.0.0.2:{other.port}/")
    said = fetch({"url": web.url}, allow_private=False, networks=["127.0.0.1/32"])

    assert said.startswith("http.fetch: 127.0.0.2 is at no public address")
    assert (web.heads, other.connections) == (["GET /"], 0)


def test_h2_a_name_that_means_another_address_the_second_time(web):
    """It is looked up once for a connection; what was checked is what is connected to."""
    answers = [["127.0.0.1"], ["127.0.0.2"]]
    looked_up = []

    async def resolve(name, port):
        looked_up.append((name, port))
        return answers.pop(0)

    async def closing(_, writer):
        writer.write(web.reply(200, b"one", Connection="close"))
        await writer.drain()

    web.on["/"] = closing
    policy = Policy(networks=("127.0.0.1/32",))
    request = Asked("GET", f"http://shop.test:{web.port}/")
    first, second = asked(policy, request, request, resolve=resolve)

    assert (first.body, looked_up) == (b"one", [("shop.test", web.port)] * 2)
    assert isinstance(second, Refused)
    assert web.connections == 1
    assert web.asked[0].headers["host"] == f"shop.test:{web.port}"


def test_h2_of_several_addresses_only_good_ones_are_tried(web):
    """One after the other."""

    async def resolve(name, port):
        return ["10.255.255.1", "169.254.169.254", "127.0.0.3", "127.0.0.1"]

    web.on["/"] = web.reply(200)
    policy = Policy(networks=("127.0.0.0/8",))
    (found,) = asked(policy, Asked("GET", f"http://shop.test:{web.port}/"), resolve=resolve)

    assert found.status == 200


def test_h2_a_name_that_is_not_found(web):
    """It is said in one line; what may be found later is looked up again."""
    looked_up = []

    async def resolve(name, port):
        looked_up.append(name)
        number = socket.EAI_NONAME if name == "shop.test" else socket.EAI_AGAIN
        raise socket.gaierror(number, "Name or service not known")

    policy = Policy(backoff=0)
    names = ("shop.test", "later.test", f"{'a' * 64}.test")
    missing, later, too_long = asked(
        policy, *(Asked("GET", f"http://{each}/") for each in names), resolve=resolve
    )

    assert str(missing) == "shop.test is not found: Name or service not known"
    assert isinstance(later, Unreachable)
    assert looked_up == ["shop.test", *["later.test"] * 3]
    assert isinstance(too_long, Unfit)


def test_h2_tls_is_about_the_name(secure, certificate):
    """SNI, the certificate and Host are about it, though an address is connected to."""

    async def resolve(name, port):
        return ["127.0.0.1"]

    secure.on["/"] = secure.reply(200)
    policy = Policy(allow_private=True, ca_file=str(certificate[0]), backoff=0)
    good, bad = asked(
        policy,
        Asked("GET", f"https://shop.test:{secure.port}/"),
        Asked("GET", f"https://else.test:{secure.port}/"),
        resolve=resolve,
    )

    assert (good.status, secure.names) == (200, ["shop.test", "else.test"])
    assert secure.asked[0].headers["host"] == f"shop.test:{secure.port}"
    assert isinstance(bad, Unreachable)
    assert "Hostname mismatch" in str(bad)


def test_a_certificate_nobody_vouches_for_is_refused_once(secure, certificate, fetch):
    """What to do is said; another attempt would not help."""
    said = fetch({"url": secure.url})

    assert said.splitlines() == [
        f"http.fetch: {secure.url} cannot be reached: self-signed certificate",
        '  see the setting actions.settings."http.fetch".ca_file',
    ]
    assert secure.connections <= 1
    missing = fetch({"url": secure.url}, ca_file="no/such.pem")
    assert missing.startswith("http.fetch: the certificates in no/such.pem cannot be read: No such file")


# --- H4: other origins ----------------------------------------------------------------------------------------------


def test_h4_what_says_who_asks_goes_to_no_other_origin(web, other, fetch):
    """Nor back, once it was left; what is harmless goes on."""
    web.on["/a"] = web.reply(302, Location="/b")
    web.on["/b"] = web.reply(302, Location=f"{other.url}/c")
    other.on["/c"] = other.reply(302, Location=f"{web.url}/d")
    web.on["/d"] = web.reply(200, b"end")
    found = fetch({"url": f"{web.url}/a", "headers": HIDDEN})

    assert (found["text"], found["url"]) == ("end", f"{web.url}/d")
    assert found["redirects"] == [f"{web.url}/a", f"{web.url}/b", f"{other.url}/c"]
    hidden = {"authorization", "x-api-key", "cookie"}
    assert [hidden & each.headers.keys() for each in (*web.asked, *other.asked)] == [
        hidden,
        hidden,
        set(),
        set(),
    ]
    assert {(each.headers["accept"], each.headers["user-agent"]) for each in other.asked} == {
        ("text/x", "me")
    }


def test_h4_the_headers_of_the_settings_go_to_their_origin_only(web, other, fetch):
    """Not to another host that may be asked."""
    web.on["/"] = other.on["/"] = web.reply(200)
    fetch(
        {"url": web.url},
        {"url": other.url},
        base_url=web.url,
        hosts=["127.0.0.1"],
        bearer="t0ken",
        headers={"X-A": "1", "Accept": "text/x"},
    )

    assert {"authorization", "x-a"} <= web.asked[0].headers.keys()
    assert not {"authorization", "x-a"} & other.asked[0].headers.keys()
    assert other.asked[0].headers["accept"] == "text/x"


def test_h4_a_body_goes_to_no_other_origin(web, other, fetch):
    """With 307 and 308, which would send it again; on the same origin they do."""
    web.on["/"] = web.reply(308, Location=f"{other.url}/")
    web.on["/here"] = web.reply(307, Location="/there")
    web.on["/there"] = web.reply(200)
    said, found = fetch(
        {"method": "POST", "url": web.url, "text": "mine"},
        {"method": "POST", "url": f"{web.url}/here", "text": "mine"},
    )

    assert said == f"http.fetch: {web.url} redirects a body to {other.url}"
    assert other.connections == 0
    assert (found["status"], web.asked[-1].method, web.asked[-1].body) == (200, "POST", b"mine")


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        (301, "POST", "GET"),
        (302, "PUT", "PUT"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (308, "POST", "POST"),
    ],
)
def test_h4_a_redirect_changes_the_method_as_rfc_9110_has_it(web, fetch, status, method, then):
    """A body that is not sent again takes its headers along."""
    web.on["/"] = web.reply(status, Location="/b")
    web.on["/b"] = web.reply(200)
    body = {} if method == "HEAD" else {"json": [1]}
    fetch({"method": method, "url": web.url, **body})

    last = web.asked[-1]
    assert (last.method, last.body) == (then, b"[1]" if then == method and body else b"")
    assert ("content-type" in last.headers) == bool(last.body)


def test_h4_from_https_nobody_is_led_to_http(web, secure, certificate, fetch):
    """The other way is fine."""
    secure.on["/"] = secure.reply(302, Location=f"{web.url}/")
    secure.on["/end"] = secure.reply(200)
    web.on["/up"] = web.reply(302, Location=f"{secure.url}/end")
    down, up = fetch({"url": secure.url}, {"url": f"{web.url}/up"}, ca_file=str(certificate[0]))

    assert down == f"http.fetch: {secure.url} redirects from https to http"
    assert (up["status"], web.heads) == (200, ["GET /up"])


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("ftp://a.test/", "redirects to what is no URL"),
        ("http://ann:pw@127.0.0.1/", "redirects to what is no URL"),
        ("http://[::1", "redirects to what is no URL"),
        ("/", "redirects more than 5 times"),
    ],
)
def test_a_redirect_that_cannot_be_followed(web, fetch, location, said):
    """It is an error, and ends."""
    web.on["/"] = web.reply(302, Location=location)

    assert fetch({"url": web.url}, attempts=1).splitlines()[0] == f"http.fetch: {web.url} {said}"
    assert len(web.asked) <= 6


def test_a_redirect_is_an_answer_where_none_are_followed(web, fetch):
    """Or where it leads nowhere."""
    web.on["/"] = web.reply(302, Location="/b")
    assert fetch({"url": web.url}, redirects=0)["headers"]["location"] == "/b"

    web.on["/"] = web.reply(304)
    assert fetch({"url": web.url})["status"] == 304


def test_h4_cookies_are_not_kept(web, fetch):
    """From one request to the next, nor along a redirect."""
    web.on["/"] = web.reply(302, Location="/b", Set_Cookie="id=1")
    web.on["/b"] = web.reply(200, Set_Cookie="id=2")
    fetch({"url": web.url}, {"url": web.url})

    assert ["cookie" in each.headers for each in web.asked] == [False] * 4


# --- H5: time -------------------------------------------------------------------------------------------------------


async def forever(writer, piece, pause=0.005):
    """Send *piece* again and again."""
    while not writer.is_closing():
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(pause)


SLOW = {
    "a body, byte by byte": (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "empty parts": (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", gzip.compress(b"")),
    "a header, byte by byte": (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "information": (b"", b"HTTP/1.1 102 Wait\r\n\r\n"),
    "nothing": (b"", b""),
}


@pytest.mark.parametrize("how", SLOW)
def test_h5_a_drip_ends_with_the_time(web, fetch, how):
    """However it is served."""
    head, piece = SLOW[how]

    async def drip(asked, writer):
        writer.write(head)
        await forever(writer, piece)

    web.on["/"] = drip
    began = time.monotonic()
    said = fetch({"url": web.url}, timeout=0.2)

    assert said.splitlines() == [
        f"http.fetch: {web.url} took longer than 0.2 s",
        '  see the setting actions.settings."http.fetch".timeout',
    ]
    assert time.monotonic() - began < 10


def test_h5_a_request_may_want_less_time(web, fetch):
    """And not more."""

    async def silent(asked, writer):
        await forever(writer, b"")

    web.on["/"] = silent
    assert "took longer than 0.1 s" in fetch({"url": web.url, "timeout": 0.1}, timeout=60)


def test_h5_redirects_and_waits_share_the_time(web, fetch):
    """A wait for which none is left ends with what was answered."""
    web.on["/"] = web.reply(503, b"busy")
    began = time.monotonic()
    found = fetch({"url": web.url}, timeout=0.8, backoff=60.0, max_backoff=60.0)

    assert (found["status"], found["text"], found["attempts"]) == (503, "busy", 1)
    assert time.monotonic() - began < 10


def test_h5_what_does_not_take_connections(fetch):
    """It is left after ``connect_timeout``."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        said = fetch({"url": f"http://127.0.0.1:{port}"}, connect_timeout=0.1, attempts=2)
        for each in waiting:
            each.close()

    assert said.splitlines()[0] == f"http.fetch: http://127.0.0.1:{port} does not take connections"


# --- H6: size -------------------------------------------------------------------------------------------------------


def bomb(times, kind=31):
    """Zeros, packed."""
    packer = zlib.compressobj(9, zlib.DEFLATED, kind)
    return b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(times)), packer.flush()])


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("Content-Length: 99999999999", b""),
        ("X: endless", b"x" * 65536),
        ("Content-Encoding: gzip", bomb(30)),
        ("Content-Encoding: deflate", bomb(30, 15)),
        ("Content-Encoding: deflate", bomb(30, -15)),
        ("Content-Encoding: gzip", gzip.compress(b"x" * 60_000) * 40),
        ("Content-Encoding: deflate", b"\0\0\0\xff\xff" * 20_000),
    ],
    ids=["length", "endless", "gzip", "deflate", "raw deflate", "parts", "empty blocks"],
)
def test_h6_no_more_is_taken_than_may_be(web, fetch, head, body):
    """Packed and unpacked; the server is left at once, and the limit is named."""

    async def endless(asked, writer):
        writer.write(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode())
        await forever(writer, body, 0)

    web.on["/"] = endless
    said = fetch({"url": web.url}, max_bytes=100_000, timeout=20.0)

    assert said.splitlines()[0] in (
        f"http.fetch: {web.url} sent more than 100,000 bytes",
        f"http.fetch: {web.url} has 99,999,999,999 bytes to send, and 100,000 are allowed",
    )
    assert said.splitlines()[1] == '  see the setting actions.settings."http.fetch".max_bytes'
    assert len(web.asked) == 1


CHILD = """
import asyncio, resource, sys
from oneiric import assemble
from oneiric_hookspecs import OneiricError

async def main():
    settings = {"actions": {"settings": {"http.fetch": {"allow_private": True, "max_bytes": 5_000_000}}}}
    async with assemble(settings, environment=False) as runtime:
        async def ask(path):
            try:
                return (await runtime.call("action", "http.fetch", {"url": sys.argv[1] + path}))["status"]
            except OneiricError as error:
                return str(error).splitlines()[0]
        print(await ask("/small"))
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 48_000_000, used + 48_000_000))
        print(await ask("/bomb"))

asyncio.run(main())
"""


@pytest.mark.once
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of memory are Linux's")
def test_h6_a_bomb_is_defused_in_little_memory(web):
    """Four gigabytes of zeros, in a process that may have 48 megabytes more than it has."""
    packed = bomb(64)
    web.on["/small"] = web.reply(200)
    # Packed once more by repeating its parts: each is 64 megabytes.
    web.on["/bomb"] = web.reply(200, packed * 64, Content_Encoding="gzip")
    path = os.pathsep.join([str(ROOT), str(ROOT / "hookspecs")])
    done = subprocess.run(
        [sys.executable, "-c", CHILD, web.url],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.stderr, done.stdout.splitlines()) == (
        "",
        ["200", f"http.fetch: {web.url} sent more than 5,000,000 bytes"],
    )


@pytest.mark.parametrize(
    ("encoding", "body", "text"),
    [
        ("gzip", gzip.compress(b"hello"), "hello"),
        ("X-GZIP", gzip.compress(b"hel") + gzip.compress(b"lo") + b"\0" * 9, "hello"),
        ("deflate", zlib.compress(b"hello"), "hello"),
        ("deflate", zlib.compress(b"hello")[2:-4], "hello"),
        ("identity, gzip", gzip.compress(b"hello"), "hello"),
        ("deflate", zlib.compress(bytes(65_537), 9)[2:-4], "\0" * 65_537),
        ("gzip", b"", ""),
        ("gzip", gzip.compress(b"hello")[:-3], "ends too early"),
        ("gzip", b"hello", "is no gzip"),
        ("gzip", b"\x1f", "ends too early"),
        ("br", b"hello", "in an encoding that was not asked for: 'br'"),
        ("gzip, gzip", b"hello", "in an encoding that was not asked for: 'gzip, gzip'"),
        ("gzip", gzip.compress(b"") * 1001, "of more than 1,000 parts"),
    ],
    ids=range(13),
)
def test_h6_a_body_is_unpacked(web, fetch, encoding, body, text):
    """As its server says that it is packed; else that is an error."""
    web.on["/"] = web.reply(200, body, Content_Encoding=encoding)
    found = fetch({"url": web.url}, attempts=1)

    assert (
        text == found["text"]
        if isinstance(found, dict)
        else f"{web.url} sent a body" in found and text in found
    )


@given(
    st.sampled_from(["", "gzip", "deflate"]),
    st.binary(max_size=300)
    | st.binary(max_size=3000).map(gzip.compress)
    | st.binary(max_size=3000).map(zlib.compress),
    st.integers(1, 40),
    st.integers(1, 2000),
)
def test_h6_whatever_comes_no_more_comes_out(encoding, data, step, limit):
    """In whatever pieces; it is as it was meant, or an error."""
    body, out = Body(encoding, limit, "it"), b""
    try:
        for at in range(0, len(data), step):
            for piece in body.feed(data[at : at + step]):
                assert piece
                out += piece
        body.end()
    except (TooLarge, Unreachable):
        assert len(out) <= limit
        return
    assert len(out) <= limit
    if not encoding:
        assert out == data
    elif encoding == "gzip" and data:
        assert out == gzip.decompress(data)


def test_h6_a_large_body_comes_whole(web, fetch):
    """Over many pieces of the unpacker."""
    text = "".join(map(str, range(200_000)))
    web.on["/"] = web.reply(200, gzip.compress(text.encode()), Content_Encoding="gzip")

    assert fetch({"url": web.url})["text"] == text


# --- H7, H8: again --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "attempts"),
    [
        ({"method": "GET"}, 3),
        ({"method": "PUT", "text": "x"}, 3),
        ({"method": "POST", "text": "x"}, 1),
        ({"method": "PATCH", "text": "x"}, 1),
        ({"method": "POST", "text": "x", "idempotent": True}, 3),
        ({"method": "GET", "idempotent": False}, 1),
    ],
    ids=range(6),
)
@pytest.mark.parametrize("how", ["busy", "cut"])
def test_h7_what_may_have_been_done_is_not_done_again(web, fetch, request_, attempts, how):
    """By the method, unless it is said; the last answer is the result, and no answer an error."""

    async def cut(asked, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
        await writer.drain()

    web.on["/"] = cut if how == "cut" else web.reply(503, b"busy")
    found = fetch({"url": web.url, **request_})

    assert len(web.asked) == attempts
    if how == "busy":
        assert (found["status"], found["text"], found["attempts"]) == (503, "busy", attempts)
    else:
        assert found.startswith(f"http.fetch: {web.url} did not answer well: ")


def test_h7_what_was_never_sent_is_tried_again(fetch):
    """Whatever the method: nobody took the connection."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        said = fetch({"method": "POST", "url": url}, breaker={"failures": 3})
        left = fetch(*[{"method": "POST", "url": url}] * 2, breaker={"failures": 3})

    assert said.startswith(f"http.fetch: {url} cannot be reached: connection refused")
    assert left[0].startswith(f"http.fetch: {url} cannot be reached: connection refused")
    assert left[1].startswith(f"http {url} failed too often lately")


def test_h7_it_gets_better(web, fetch):
    """Then the good answer counts."""
    web.on["/"] = [web.reply(429), web.reply(502), web.reply(200, b"good")]
    found = fetch({"url": web.url})

    assert (found["status"], found["text"], found["attempts"]) == (200, "good", 3)


@pytest.mark.parametrize(
    ("after", "attempts"),
    [
        ("0", 2),
        ("3600", 1),
        ("9" * 400, 1),
        ("Fri, 31 Dec 2999 23:59:59 GMT", 1),
        ("-1", 2),
        ("soon", 2),
        ("", 2),
    ],
    ids=range(7),
)
def test_h8_retry_after_is_kept_to_or_there_is_no_other_attempt(web, fetch, after, attempts):
    """Seconds, or a date; what means neither counts for nothing."""
    web.on["/"] = [web.reply(503, Retry_After=after), web.reply(200)]
    found = fetch({"url": web.url})

    assert (found["attempts"], found["status"]) == (attempts, 200 if attempts == 2 else 503)


def test_h8_retry_after_is_waited_for(web, fetch):
    """A second, though the settings would not wait at all."""
    web.on["/"] = [web.reply(503, Retry_After="1"), web.reply(200)]
    found = fetch({"url": web.url})

    assert (found["attempts"], found["status"]) == (2, 200)
    assert 1 <= found["seconds"] < 10


# --- H10: the environment -------------------------------------------------------------------------------------------


def test_h10_the_environment_changes_nothing(web, other, fetch, certificate, secure, tmp_path, monkeypatch):
    """No proxy, no password, no certificate comes from it."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, other.url)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ann password pw\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    web.on["/"] = web.reply(200)
    plain, tls = fetch({"url": web.url}, {"url": secure.url})

    assert (plain["status"], other.connections) == (200, 0)
    assert "authorization" not in web.asked[0].headers
    assert "self-signed certificate" in tls


# --- HTTP/2 ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def second(server_tls):
    """A server that speaks HTTP/2 with who wants to: ``/hang`` never ends, and ten at once are too many."""
    pytest.importorskip("h2")
    import h2.config
    import h2.connection
    import h2.events
    import h2.settings

    async def serve(reader, writer):
        version = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        server.seen.append(version)
        if version != "h2":
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nh1")
            return
        peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        peer.local_settings = h2.settings.Settings(
            client=False, initial_values={h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 10}
        )
        peer.initiate_connection()
        writer.write(peer.data_to_send())
        while data := await reader.read(65536):
            for event in peer.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    hangs = dict(event.headers)[b":path"] == b"/hang"
                    peer.send_headers(event.stream_id, [(":status", "200"), ("content-encoding", "gzip")])
                    if not hangs:
                        peer.send_data(event.stream_id, gzip.compress(b"h2"), end_stream=True)
            writer.write(peer.data_to_send())
        writer.close()

    async def main():
        server_tls.set_alpn_protocols(["h2", "http/1.1"])
        server.loop, server.end, tasks = asyncio.get_running_loop(), asyncio.Event(), set()

        async def kept(reader, writer):
            tasks.add(asyncio.current_task())
            try:
                await serve(reader, writer)
            except (OSError, asyncio.CancelledError):
                pass
            finally:
                writer.transport.abort()

        listening = await asyncio.start_server(kept, "127.0.0.1", 0, ssl=server_tls)
        server.url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        ready.set()
        await server.end.wait()
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    server, ready = SimpleNamespace(seen=[]), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert ready.wait(10)
    yield server
    server.loop.call_soon_threadsafe(server.end.set)
    thread.join(10)


def test_http2_is_spoken_with_those_who_offer_it(second, certificate, fetch):
    """Several requests over one connection; the settings can keep to HTTP/1.1."""
    request = {"url": f"{second.url}/"}
    found = fetch(request, request, ca_file=str(certificate[0]))
    plain = fetch(request, ca_file=str(certificate[0]), http2=False)

    assert [(each["text"], each["version"]) for each in found] == [("h2", "HTTP/2")] * 2
    assert (plain["text"], plain["version"]) == ("h1", "HTTP/1.1")
    assert second.seen == ["h2", "http/1.1"]


def test_http2_that_is_left_again_and_again_goes_on_working(second, certificate, fetch):
    """Answers that nobody waited for take no place from others."""
    hang, good = {"url": f"{second.url}/hang", "timeout": 0.04}, {"url": f"{second.url}/"}
    *left, last = fetch(good, *[hang] * 20, good, ca_file=str(certificate[0]), attempts=1)

    assert [each for each in left[1:] if "took longer than 0.04 s" not in each] == []
    assert last["text"] == "h2"
    assert len(second.seen) >= 2
