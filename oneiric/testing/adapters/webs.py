"""The promises of ``Http``, against a server on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gzip
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs
from oneiric_hookspecs import Http

from .places import Places, promise, refused


@attrs.frozen
class Heard:
    """What the server was asked."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes


def _answer(status: int, body: bytes = b"", *headers: tuple[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status} Said\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


_ANSWERS = {
    "/base/echo": _answer(418, b"\0\xff", ("X-One", "1"), ("Set-Cookie", "a"), ("Set-Cookie", "b")),
    "/base/moved": _answer(302, b"", ("Location", "/base/there?q=1")),
    "/base/there": _answer(200, b"there"),
    "/base/packed": _answer(200, gzip.compress(b"unpacked"), ("Content-Encoding", "gzip")),
    "/base/large": _answer(200, b"x" * 100_001),
    "/base/largest": _answer(200, b"x" * 100_000),
    "/base/bomb": _answer(200, gzip.compress(bytes(100_001)), ("Content-Encoding", "gzip")),
    "/base/nonsense": b"this is not HTTP\r\n\r\n",
    "/base/cut": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe",
}


class _Server:
    """Answers by path; ``/base/silent`` never."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.first = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.origin = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        # The client may go at any time, and so may this task: both are an end like others.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._answered(reader, writer):
                pass
        self._tasks.discard(task)
        writer.transport.abort()

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        url = urlsplit(target)
        self.heard.append(Heard(method, url.path, parse_qsl(url.query), headers, body))
        self.first.set()
        if url.path == "/base/silent":
            await reader.read(1)
            return False
        writer.write(_ANSWERS.get(url.path, _answer(404)))
        await writer.drain()
        if url.path in {"/base/cut", "/base/nonsense"}:
            writer.close()  # what was written is sent first
            await writer.wait_closed()
            return False
        return True


class HttpConformance(Places):
    """The promises of ``Http``; override ``open``.

    ``open`` is given *place*, the URL that paths stand below, and ``max_bytes``.  The server is on this machine: a
    provider that does not ask such must be told to.

    Attributes:
        tick: Seconds after which an answer counts as late.
    """

    tick = 0.2
    usual: Mapping[str, Any] = MappingProxyType({"max_bytes": 100_000})
    _server: _Server

    @contextlib.asynccontextmanager
    async def opened(self, place: str | None = None, **settings: Any) -> AsyncIterator[Any]:
        """An adapter whose base is a server of its own."""
        self._server = _Server()
        await self._server.start()
        try:
            async with super().opened(f"{self._server.origin}/base", **settings) as adapter:
                yield adapter
        finally:
            await self._server.stop()

    @promise
    async def test_it_is_one(self, http: Http) -> None:
        """It has the methods of the contract."""
        assert isinstance(http, Http)

    @promise
    async def test_what_is_asked_arrives(self, http: Http) -> None:
        """Method, path, query, headers and body, as they were given."""
        params, headers, body = {"q": "ü &=", "r": ""}, {"X-Me": "you"}, bytes(range(256))
        await http.request("PATCH", "echo", params={"q": "ü &="}, headers=headers, body=body)
        await http.request("GET", f"{self._server.origin}/base/echo", params=params)
        one, other = self._server.heard
        assert (one.method, one.path, one.query, one.body) == ("PATCH", "/base/echo", [("q", "ü &=")], body)
        assert one.headers["x-me"] == "you"
        assert (other.method, other.path, other.body) == ("GET", "/base/echo", b"")

    @promise
    async def test_what_is_answered_comes_back(self, http: Http) -> None:
        """Whatever the status: headers in order and in lower case, each that was sent, and the bytes."""
        found = await http.request("GET", "echo")
        assert (found.status, found.body) == (418, b"\0\xff")
        assert found.url == f"{self._server.origin}/base/echo"
        mine = [pair for pair in found.headers if pair[0] in {"x-one", "set-cookie"}]
        assert mine == [("x-one", "1"), ("set-cookie", "a"), ("set-cookie", "b")]
        assert (await http.request("HEAD", "nowhere")).status == 404

    @promise
    async def test_a_body_is_unpacked(self, http: Http) -> None:
        """What the server packed is as it was."""
        assert (await http.request("GET", "packed")).body == b"unpacked"

    @promise
    async def test_a_redirect_tells_who_answered(self, http: Http) -> None:
        """Where it is followed, it is the other one's answer; where not, the redirect is one."""
        found = await http.request("GET", "moved")
        there = (200, f"{self._server.origin}/base/there?q=1", b"there")
        assert (found.status, found.url, found.body) == there or found.status == 302

    @promise
    async def test_a_stream_is_the_same_in_pieces(self, http: Http) -> None:
        """None is empty; it may be left at any time."""
        async with http.stream("GET", "largest") as stream:
            assert (stream.response.status, stream.response.body) == (200, b"")
            pieces = [each async for each in stream.chunks]
        assert all(pieces)
        assert b"".join(pieces) == b"x" * 100_000
        for _ in range(20):
            async with http.stream("POST", "largest", body=b"x") as stream:
                assert await anext(aiter(stream.chunks))
        async with http.stream("GET", "large", max_bytes=200_000) as stream:
            assert sum([len(each) async for each in stream.chunks]) == 100_001
        assert (await http.request("GET", "packed")).body == b"unpacked"

    @promise
    async def test_no_more_comes_than_may(self, http: Http) -> None:
        """As it comes, and unpacked: an error of the kind EFBIG."""

        async def streamed(path: str) -> bytes:
            async with http.stream("GET", path, max_bytes=50_000) as stream:
                return b"".join([each async for each in stream.chunks])

        for path in ("large", "bomb"):
            error = await refused(http.request("GET", path), OSError, f"an answer of 100,001 bytes ({path})")
            assert isinstance(error, OSError)
            assert error.errno == errno.EFBIG
            error = await refused(streamed(path), OSError, f"a stream of 100,001 bytes ({path})")
            assert isinstance(error, OSError)
            assert error.errno == errno.EFBIG

    @promise
    async def test_errors(self, http: Http) -> None:
        """Of the kinds that the contract names."""
        for method, url, headers in (
            ("no method", "echo", {}),
            ("GET", "ftp://127.0.0.1/", {}),
            ("GET", "echo", {"X": "a\r\nY: b"}),
            ("GET", "echo", {"X\r\nY": "a"}),
        ):
            await refused(http.request(method, url, headers=headers), ValueError, f"{method} {url} {headers}")
        assert self._server.heard == []
        await refused(http.request("GET", "nonsense"), ConnectionError, "an answer that is not HTTP")
        await refused(http.request("GET", "cut"), ConnectionError, "half an answer")
        await refused(http.request("GET", "silent", timeout=self.tick), TimeoutError, "no answer")

    @promise
    async def test_what_may_have_been_done_is_not_done_again(self, http: Http) -> None:
        """A POST that got half an answer was asked once."""
        await refused(http.request("POST", "cut", body=b"x"), ConnectionError, "half an answer")
        assert [each.method for each in self._server.heard] == ["POST"]

    @promise
    async def test_many_at_once(self, http: Http) -> None:
        """Each gets its own answer."""
        asked = ["packed", "there"] * 20
        found = await asyncio.gather(*(http.request("GET", path) for path in asked))
        assert [each.body for each in found] == [b"unpacked", b"there"] * 20

    @promise
    async def test_a_caller_that_is_cancelled_goes_at_once(self, http: Http) -> None:
        """And the adapter goes on working."""
        waiting = [asyncio.ensure_future(http.request("GET", "silent")) for _ in range(20)]
        await self._server.first.wait()
        for each in waiting:
            each.cancel()
        done, left = await asyncio.wait(waiting, timeout=10)
        assert (len(done), len(left)) == (20, 0)
        assert all(each.cancelled() for each in waiting)
        assert (await http.request("GET", "there")).body == b"there"
