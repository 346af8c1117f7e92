"""adapter:http: the contract, through a runtime that is assembled from a settings file."""

import asyncio
import contextlib
import errno
import threading

import pytest
import tomli_w
from oneiric_hookspecs import BreakerOpen, Http, HttpResponse, OneiricError

from oneiric import assemble
from oneiric.testing.adapters import HttpConformance


class TestHttpx(HttpConformance):
    """The suite for any provider; it is set up as by a settings file."""

    async def open(self, place, **settings):
        table = {"base_url": place, "allow_private": True, "backoff": 0.0, **settings}
        self.stack = contextlib.AsyncExitStack()
        settings = {"adapters": {"settings": {"http": {"httpx": table}}}}
        runtime = await self.stack.enter_async_context(assemble(settings, environment=False))
        return await self.stack.enter_async_context(runtime.use("adapter", "http"))

    async def close(self, adapter):
        await self.stack.aclose()


class TestHttpxInPlainText(TestHttpx):
    """The same without HTTP/2, over one connection."""

    usual = {**HttpConformance.usual, "http2": False, "max_connections": 1}


@pytest.fixture
def use(tmp_path):
    """``use(scenario, setting=...)``: what ``await scenario(http, runtime)`` gives."""

    def use(scenario, **settings):
        table = {"allow_private": True, "backoff": 0.0, **settings}
        file = tmp_path / "oneiric.toml"
        limits = {"lifecycle": {"startup_timeout": 0.3}}
        file.write_text(tomli_w.dumps({**limits, "adapters": {"settings": {"http": {"httpx": table}}}}))

        async def main():
            async with assemble(file, environment=False) as runtime, runtime.use("adapter", "http") as http:
                return await scenario(http, runtime)

        return asyncio.run(main())

    return use


def test_an_answer(web, use):
    """It is what the contract says, and so is the adapter."""
    web.on["/v1/a"] = web.reply(404, b"no", X_A="1", Set_Cookie="a")

    async def scenario(http, runtime):
        assert isinstance(http, Http)
        return await http.request(
            "POST", "a", params={"q": "ü"}, headers={"X-Me": "1"}, body=b"hello", idempotent=True
        )

    found = use(scenario, base_url=f"{web.url}/v1")

    headers = (("content-length", "2"), ("x-a", "1"), ("set-cookie", "a"))
    assert found == HttpResponse(404, headers, f"{web.url}/v1/a?q=%C3%BC", b"no")
    assert (found.header("X-A"), found.header("x-b")) == ("1", "")
    assert (web.asked[0].body, web.asked[0].headers["x-me"]) == (b"hello", "1")


def test_a_body_that_need_not_fit_into_memory(web, use):
    """It comes in pieces, and may be left before its end; the connection is given back."""

    async def long(asked, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * 65536)
            await writer.drain()

    web.on["/long"] = long
    web.on["/short"] = web.reply(200, b"short")

    async def scenario(http, runtime):
        seen = 0
        async with http.stream("GET", f"{web.url}/long", max_bytes=10**9) as stream:
            assert (stream.response.status, stream.response.header("x-a")) == (200, "1")
            async for chunk in stream.chunks:
                assert chunk
                seen += len(chunk)
                if seen > 1_000_000:
                    break
        async with http.stream("GET", f"{web.url}/short") as stream:
            short = [chunk async for chunk in stream.chunks]
        return short, (await http.health()).details

    assert use(scenario, max_connections=1) == ([b"short"], {"under_way": 0})


def test_a_stream_keeps_to_its_limits(web, use):
    """In bytes and in time; what was tried again is given in the end."""

    async def drip(asked, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.005)

    web.on["/drip"] = drip
    web.on["/long"] = web.reply(200, b"x" * 11)
    web.on["/busy"] = web.reply(503, b"busy")

    async def scenario(http, runtime):
        said = []
        for path, limits in (("drip", {"timeout": 0.1}), ("long", {"max_bytes": 10})):
            with pytest.raises(OSError) as caught:
                async with http.stream("GET", f"{web.url}/{path}", **limits) as stream:
                    async for _ in stream.chunks:
                        pass
            said.append((type(caught.value).__mro__[2], caught.value.errno, str(caught.value)))
        async with http.stream("GET", f"{web.url}/busy") as stream:
            said.append(
                (stream.response.status, stream.response.body, [each async for each in stream.chunks])
            )
        return said

    assert use(scenario) == [
        (TimeoutError, None, f"{web.url} took longer than 0.1 s"),
        (OSError, errno.EFBIG, f"{web.url} has 11 bytes to send, and 10 are allowed"),
        (503, b"", [b"busy"]),
    ]


@pytest.mark.parametrize(
    ("arguments", "more", "kind"),
    [
        (("FETCH", "http://a.test"), {}, ValueError),
        (("GET", "a"), {}, ValueError),
        (("GET", "http://a.test"), {"headers": {"X": "\r\n"}}, ValueError),
        (("GET", "http://a.test"), {"headers": {"X": 1}}, TypeError),
        (("GET", "http://a.test"), {"body": "text"}, TypeError),
        (("GET", "http://a.test"), {"timeout": 0}, ValueError),
        (("GET", None), {}, TypeError),
        (("GET", "http://a.test"), {}, PermissionError),
        (("GET", "http://127.0.0.1:1/"), {}, ConnectionError),
    ],
    ids=range(9),
)
def test_errors_are_those_of_the_contract(use, arguments, more, kind):
    """So that whoever uses it need not know the provider."""

    async def scenario(http, runtime):
        with pytest.raises(kind):
            await http.request(*arguments, **more)
        with pytest.raises(kind):
            async with http.stream(*arguments, **more):
                pass

    use(scenario, hosts=["127.0.0.1"], attempts=1)


def test_a_host_that_fails_is_left_alone(use):
    """By its name; others are asked."""

    async def scenario(http, runtime):
        for _ in range(2):
            with pytest.raises(ConnectionError):
                await http.request("GET", "http://127.0.0.1:1/")
        with pytest.raises(BreakerOpen):
            await http.request("GET", "http://127.0.0.1:1/other")
        with pytest.raises(ConnectionError):
            await http.request("GET", "http://127.0.0.2:1/")

    use(scenario, attempts=1, breaker={"failures": 2})


def test_a_probe_tells_whether_the_server_is_well(web, use):
    """One that is not well is not bound."""
    web.on["/health"] = web.reply(204)

    async def scenario(http, runtime):
        await http.aclose()
        await http.aclose()
        with pytest.raises(RuntimeError, match="the client is closed"):
            await http.request("GET", "/")
        with pytest.raises(RuntimeError, match="the client is closed"):
            await http.health()
        return web.heads

    assert set(use(scenario, base_url=web.url, probe="health")) == {"GET /health"}

    web.on["/health"] = web.reply(500)
    with pytest.raises(OneiricError, match="httpx did not come up at step warm"):
        use(scenario, base_url=web.url, probe="health", attempts=1)


def test_a_caller_that_is_cancelled_goes_at_once(web, use):
    """And its connection with it: the only one there may be is free again."""

    async def silent(asked, writer):
        while not writer.is_closing():
            await writer.drain()
            await asyncio.sleep(0.005)

    web.on["/silent"] = silent
    web.on["/"] = web.reply(200)

    async def scenario(http, runtime):
        waiting = asyncio.create_task(http.request("GET", f"{web.url}/silent"))
        while not web.asked:
            await asyncio.sleep(0.005)
        waiting.cancel()
        await asyncio.wait([waiting])
        return waiting.cancelled(), (await http.request("GET", web.url)).status

    assert use(scenario, max_connections=1) == (True, 200)


def test_a_swap_takes_nothing_from_a_caller(web, use):
    """The old one answers what it was asked; then its connections are gone."""
    going = threading.Event()

    async def late(asked, writer):
        while not going.is_set():
            await asyncio.sleep(0.005)
        writer.write(web.reply(200, b"late"))
        await writer.drain()

    web.on["/late"] = late

    async def scenario(http, runtime):
        asking = asyncio.create_task(http.request("GET", f"{web.url}/late"))
        while not web.asked:
            await asyncio.sleep(0.005)
        await runtime.swap("adapter", "http", "httpx", reload=True)
        going.set()
        return (await asking).body

    assert use(scenario) == b"late"


def test_connections_of_an_action_end_with_its_settings(web, tmp_path):
    """They are shared until it is reloaded, and none is left when the runtime is closed."""
    web.on["/"] = web.reply(200)
    settings = {"actions": {"settings": {"http.fetch": {"allow_private": True}}}}

    async def main():
        counts = []
        async with assemble(settings, environment=False) as runtime:
            for _ in range(2):
                await runtime.call("action", "http.fetch", {"url": web.url})
            counts.append((web.connections, web.open))
            report = await runtime.swap("action", "http.fetch", reload=True)
            await report.retired()
            while web.open:
                await asyncio.sleep(0.005)
            await runtime.call("action", "http.fetch", {"url": web.url})
            counts.append((web.connections, web.open))
        while web.open:
            await asyncio.sleep(0.005)
        return counts

    assert asyncio.run(asyncio.wait_for(main(), 10)) == [(1, 1), (2, 1)]


def test_an_action_goes_on_while_the_one_before_it_ends(web):
    """Who asks with new settings is not cut off when the last with old ones is done; nor at the end of the runtime."""
    going = {"/old": threading.Event(), "/new": threading.Event()}

    async def late(asked, writer):
        while not going[asked.target].is_set():
            await asyncio.sleep(0.005)
        writer.write(web.reply(200, asked.target.encode()))
        await writer.drain()

    web.on["/old"] = web.on["/new"] = late
    settings = {"actions": {"settings": {"http.fetch": {"allow_private": True, "attempts": 1}}}}

    async def main():
        async with assemble(settings, environment=False) as runtime:

            async def ask(path):
                asking = asyncio.create_task(runtime.call("action", "http.fetch", {"url": web.url + path}))
                while f"GET {path}" not in web.heads:
                    await asyncio.sleep(0.005)
                return asking

            old = await ask("/old")
            report = await runtime.swap("action", "http.fetch", reload=True)
            new = await ask("/new")
            going["/old"].set()
            first = (await old)["text"]
            await report.retired()
            asyncio.get_running_loop().call_later(0.05, going["/new"].set)
        return first, (await new)["text"]

    assert asyncio.run(asyncio.wait_for(main(), 10)) == ("/old", "/new")
