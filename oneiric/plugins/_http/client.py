"""Requests, as a policy has them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib.util
import os
import socket
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import cast

import attrs
import httpcore
import httpx
from oneiric_hookspecs import FetchError, Host, Retry

from .decoding import ENCODINGS, Body
from .errors import HttpError, Refused, TookTooLong, TooLarge, Unfit, Unreachable
from .messages import METHODS, Answer, Asked, check_headers
from .network import Checked, Resolve, system_resolver
from .policy import Policy
from .urls import Places, same_origin, shown

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: H4: what says nothing about who asks.
_HARMLESS = frozenset({"accept", "accept-language", "user-agent"})
#: So many answers may be left before their end until there are new connections.
_MAX_LEFT = 8
#: Errors of a connection; some releases of httpcore leave those of TLS as they are.
_BROKEN = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, ssl.SSLError)
#: Errors of a connection that was never made: nothing can have been done.
_NOT_SENT = (httpcore.ConnectError, httpcore.ConnectTimeout)


class Stream:
    """An answer whose body is still coming.

    Args:
        head: All but the body.
        chunks: The body, unpacked; none of them is empty.
    """

    def __init__(self, head: Answer, chunks: AsyncIterator[bytes]) -> None:
        self.head, self.chunks = head, chunks


class Client:
    """Asks others, and keeps connections to them.  All its methods may be called from many tasks at once.

    Args:
        policy: What is kept to.
        host: Whose patience and whose threads are used.
        resolve: Gives addresses; None asks the system.
    Raises:
        Refused: Something of the policy cannot be kept: a host is none, the certificates cannot be read.
    """

    def __init__(self, policy: Policy, host: Host, *, resolve: Resolve | None = None) -> None:
        self._policy, self._host = policy, host
        self._places = Places(policy)
        self._own = policy.own_headers()
        self._retry = Retry(policy.attempts, policy.backoff, max_backoff=policy.max_backoff)
        self._in_use = 0
        self._closed = False
        self._trusted = _trusted(policy)
        self._http2 = policy.http2 and importlib.util.find_spec("h2") is not None
        self._network = Checked(policy, resolve or system_resolver(host))
        self._connections = self._opened()

    @property
    def in_use(self) -> int:
        """How many requests are under way."""
        return self._in_use

    def check_open(self) -> None:
        """Raises: RuntimeError, it is closed."""
        if self._closed:
            raise RuntimeError("the client is closed")

    async def request(self, asked: Asked, *, timeout: float | None = None) -> Answer:
        """Ask, and take the whole body.

        Args:
            asked: What.
            timeout: Seconds for everything; None as the policy says.
        Raises:
            Unfit: It is nothing that could be asked.
            Refused: The policy forbids it.
            Unreachable: There is no answer, or none that can be understood.
            TookTooLong: It took longer than it may.
            TooLarge: The body is larger than it may be.
            BreakerOpen: The host is left alone for a while.
        """
        seconds = self._policy.timeout if timeout is None else timeout
        async with self._call(seconds, self._policy.max_bytes, whole=True) as call:
            answer = await self._asked(asked, call)
            call.ended = True
        assert isinstance(answer, Answer)
        return answer

    @contextlib.asynccontextmanager
    async def stream(
        self, asked: Asked, *, timeout: float | None = None, max_bytes: int | None = None
    ) -> AsyncIterator[Stream]:
        """Ask, and take the body as it comes: ``async with client.stream(asked) as stream``.

        Args:
            asked: What.
            timeout: Seconds for everything, the last byte too; None as the policy says.
            max_bytes: Bytes that the body may have; None as the policy says.
        Raises:
            HttpError: As ``request``, also from the chunks.
        """
        limit = self._policy.max_bytes if max_bytes is None else max_bytes
        seconds = self._policy.timeout if timeout is None else timeout
        async with self._call(seconds, limit, whole=False) as call:
            opened = await self._asked(asked, call)
            if isinstance(opened, Answer):  # the last of several attempts, which was read
                call.ended = True
                yield Stream(attrs.evolve(opened, body=b""), _once(opened.body))
                return
            try:
                yield Stream(opened.head, call.chunks(opened))
            finally:
                await opened.response.aclose()

    async def aclose(self) -> None:
        """Let go of all connections, for good; a second time does nothing."""
        self._closed = True
        await self._connections.pool.aclose()

    def _opened(self) -> _Connections:
        return _Connections(
            httpcore.AsyncConnectionPool(
                ssl_context=self._trusted,
                max_connections=self._policy.max_connections,
                keepalive_expiry=30.0,
                http2=self._http2,
                network_backend=self._network,
            )
        )

    @contextlib.asynccontextmanager
    async def _call(self, seconds: float, limit: int, *, whole: bool) -> AsyncIterator[_Call]:
        """One call, and the connections that it may use."""
        self.check_open()
        mine = self._connections
        call = _Call(mine.pool, seconds, limit, whole=whole)
        self._in_use += 1
        mine.users += 1
        try:
            yield call
        finally:
            self._in_use -= 1
            mine.users -= 1
            mine.left += call.attempts - call.ended
            if mine.left >= _MAX_LEFT and mine is self._connections and not self._closed:
                self._connections = self._opened()
            if mine is not self._connections and not mine.users:
                await mine.pool.aclose()

    def check(self, asked: Asked) -> httpx.URL:
        """The URL that *asked* means; nothing is looked up.

        Raises:
            Unfit: It is nothing that could be asked.
            Refused: The policy forbids it.
        """
        if asked.method not in METHODS:
            raise Unfit("method", f"is one of {', '.join(METHODS)}, found {asked.method[:20]!r}")
        check_headers(asked.headers)
        url = self._places.url(asked.url, asked.params)
        self._places.admit(url)  # H1
        return url

    async def _asked(self, asked: Asked, call: _Call) -> Answer | _Open:
        url = self.check(asked)
        call.place = shown(url)
        try:
            return await self._in_time(asked, url, call)
        except HttpError as error:
            error.attempts = call.attempts
            raise

    async def _in_time(self, asked: Asked, url: httpx.URL, call: _Call) -> Answer | _Open:
        scope = asyncio.timeout_at(call.deadline)
        try:
            async with scope:
                return await self._attempts(asked, url, call)
        except TimeoutError:
            if not scope.expired():
                raise
            if call.last is not None:  # it was waiting for another attempt, for which no time is left
                return call.last.outcome()
            raise call.too_late() from None

    async def _attempts(self, asked: Asked, url: httpx.URL, call: _Call) -> Answer | _Open:
        async def attempt() -> Answer | _Open | Exception:
            call.attempts += 1
            call.last = None
            try:
                return await self._chain(asked, url, call)
            except (Refused, TooLarge, Unfit) as error:
                return error  # no fault of the other side, and nothing that another attempt would change
            except _Failed as failed:
                call.last = failed
                raise

        try:
            outcome = await self._host.attempt(
                attempt, name=f"http {call.place}", retry=self._retry, breaker=self._policy.breaker
            )
        except _Failed as failed:
            return failed.outcome()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _chain(self, asked: Asked, url: httpx.URL, call: _Call) -> Answer | _Open:
        """One attempt: follow redirects to an answer.  Raises: _Failed, Refused, TooLarge."""
        method, body, headers = asked.method, asked.body, self._headers(asked, url)
        trail: list[str] = []
        opened: _Open | None = None
        again = asked.may_be_repeated()
        while True:
            opened = await self._sent(method, url, headers, body, call, again=again)
            opened.head = attrs.evolve(opened.head, redirects=tuple(trail))
            location = opened.head.header("location")
            if opened.head.status not in _REDIRECTS or not location or not self._policy.redirects:
                break
            await opened.response.aclose()
            if len(trail) >= self._policy.redirects:
                raise Refused(f"{call.place} redirects more than {len(trail)} times", setting="redirects")
            trail.append(str(url))
            before, url = url, self._places.after(url, location)
            self._places.admit(url)  # H1
            status = opened.head.status
            if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
                method, body = "GET", b""
                headers = {
                    name: value for name, value in headers.items() if not name.lower().startswith("content-")
                }
            if not same_origin(before, url):  # H4
                if body:
                    raise Refused(f"{shown(before)} redirects a body to {shown(url)}")
                headers = {name: value for name, value in headers.items() if name.lower() in _HARMLESS}
        return await self._settled(opened, call, again=again)

    async def _settled(self, opened: _Open, call: _Call, *, again: bool) -> Answer | _Open:
        """What comes of an answer: another attempt, the whole of it, or its beginning."""
        head = opened.head
        failed = head.status in self._policy.retry_statuses
        if not failed and not call.whole:
            return opened
        try:
            answer = attrs.evolve(head, body=b"".join([each async for each in opened.pieces(call.limit)]))
        except Unreachable as error:
            raise _Failed(error, retryable=again) from error
        finally:
            await opened.response.aclose()
        if not failed:
            return answer
        wait = _retry_after(head.header("retry-after"))
        left = call.deadline - asyncio.get_running_loop().time()
        in_time = wait is None or wait <= min(self._policy.max_backoff, left)  # H8
        raise _Failed(answer, retryable=again and in_time, retry_after=wait)

    async def _sent(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        body: bytes,
        call: _Call,
        *,
        again: bool,
    ) -> _Open:
        lines = [(b"Host", url.netloc), (b"Accept-Encoding", ENCODINGS.encode())]
        lines += [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
        if body or method in ("POST", "PUT", "PATCH"):
            lines.append((b"Content-Length", b"%d" % len(body)))
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        request = httpcore.Request(method, target, headers=lines, content=body)
        try:
            response = await call.pool.handle_async_request(request)
        except (*_BROKEN, Unreachable) as error:
            sent = not isinstance(error, (*_NOT_SENT, Unreachable))
            raise _Failed(
                _unreachable(url, error), retryable=not _for_good(error) and (again or not sent)
            ) from error
        found = [
            (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers
        ]
        version = response.extensions.get("http_version", b"HTTP/1.1").decode("latin-1")
        head = Answer(response.status, found, str(url), attempts=call.attempts, version=version)
        return _Open(head, response, method)

    def _headers(self, asked: Asked, url: httpx.URL) -> dict[str, str]:
        """Those of the request, over those of the policy where they may go there."""
        headers = {"accept": ("Accept", "*/*"), "user-agent": ("User-Agent", "oneiric")}
        base = self._places.base
        mine = base is None or same_origin(base, url)
        for name, value in self._own.items():
            if mine or name.lower() in _HARMLESS:
                headers[name.lower()] = (name, value)
        for name, value in asked.headers.items():
            headers[name.lower()] = (name, value)
        return dict(headers.values())


@attrs.define(eq=False)
class _Connections:
    """Connections that are used until too many answers were left before their end.

    Over HTTP/2 such an answer goes on as far as its window lets it, and counts among those that there may be at once:
    httpcore does not tell the server that nobody wants it any more.
    """

    pool: httpcore.AsyncConnectionPool
    users: int = 0
    left: int = 0


class _Call:
    """One call: its time, its limit, and how far it has come."""

    def __init__(
        self, pool: httpcore.AsyncConnectionPool, seconds: float, limit: int, *, whole: bool
    ) -> None:
        self.pool = pool
        self.seconds, self.limit, self.whole = seconds, limit, whole
        self.ended = False  # the last attempt, with the last byte
        self.deadline = asyncio.get_running_loop().time() + seconds
        self.attempts = 0
        self.last: _Failed | None = None  # while it waits for another attempt
        self.place = ""

    def too_late(self) -> TookTooLong:
        """The error that says so."""
        return TookTooLong(f"{self.place} took longer than {self.seconds:g} s")

    async def chunks(self, opened: _Open) -> AsyncIterator[bytes]:
        """The body, each piece of it before the time is up (H5)."""
        pieces = opened.pieces(self.limit)
        while True:
            scope = asyncio.timeout_at(self.deadline)
            try:
                async with scope:
                    piece = await anext(pieces, None)
            except TimeoutError:
                if not scope.expired():
                    raise
                raise self.too_late() from None
            if piece is None:
                self.ended = True
                return
            yield piece


@attrs.define(eq=False)
class _Open:
    """An answer that has begun."""

    head: Answer
    response: httpcore.Response
    method: str

    async def pieces(self, limit: int) -> AsyncIterator[bytes]:
        """The body, unpacked.  Raises: TooLarge, Unreachable."""
        url = httpx.URL(self.head.url)
        place = shown(url)
        length = self.head.header("content-length")
        if length.isdecimal() and len(length) < 20 and int(length) > limit and not self._bare():
            raise TooLarge(f"{place} has {int(length):,} bytes to send, and {limit:,} are allowed")
        body = Body("" if self._bare() else self.head.header("content-encoding"), limit, place)
        try:
            # It is an asynchronous generator, and is said to be an iterator.
            coming = cast("AsyncGenerator[bytes, None]", self.response.aiter_stream())
            async with contextlib.aclosing(coming) as chunks:
                async for raw in chunks:
                    for piece in body.feed(raw):
                        yield piece
        except _BROKEN as error:
            raise _unreachable(url, error) from error
        body.end()

    def _bare(self) -> bool:
        """Whether the headers speak of a body that does not come."""
        return self.method == "HEAD" or self.head.status in (204, 304)


class _Failed(FetchError):
    """An attempt failed: ``what`` is the answer that says so, or why there is none."""

    def __init__(
        self, what: Answer | HttpError, *, retryable: bool, retry_after: float | None = None
    ) -> None:
        super().__init__("an attempt failed", retryable=retryable, retry_after=retry_after)
        self.what = what

    def outcome(self) -> Answer:
        """The answer.  Raises: HttpError, there is none."""
        if isinstance(self.what, Answer):
            return self.what
        raise self.what


async def _once(body: bytes) -> AsyncIterator[bytes]:
    if body:
        yield body


def _trusted(policy: Policy) -> ssl.SSLContext:
    if policy.ca_file is None:
        return httpx.create_ssl_context(trust_env=False)  # H10
    try:
        return ssl.create_default_context(cafile=policy.ca_file)
    except (OSError, ValueError) as error:
        raise Refused(
            f"the certificates in {policy.ca_file} cannot be read: {getattr(error, 'strerror', None) or error}",
            setting="ca_file",
        ) from error


def _retry_after(value: str) -> float | None:
    """Seconds; None where it does not say (RFC 9110, 10.2.3)."""
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, parsedate_to_datetime(value[:60]).timestamp() - time.time())
    except (ValueError, OverflowError, OSError):
        return None


def _unreachable(url: httpx.URL, error: BaseException) -> Unreachable:
    if isinstance(error, Unreachable):
        return error
    if isinstance(error, httpcore.ConnectTimeout):
        return Unreachable(f"{shown(url)} does not take connections", setting="connect_timeout")
    doubted = _certificate(error)
    if doubted is not None:
        return Unreachable(f"{shown(url)} cannot be reached: {_line(doubted)}", setting="ca_file")
    what = "cannot be reached" if isinstance(error, _NOT_SENT) else "did not answer well"
    return Unreachable(f"{shown(url)} {what}: {_line(error)}")


def _chain_of(error: BaseException) -> Iterator[BaseException]:
    """*error* and what led to it; of several at once the first."""
    found: BaseException | None = error
    while found is not None:
        yield found
        before = found.exceptions[0] if isinstance(found, BaseExceptionGroup) else found.__cause__
        found = before or found.__context__


def _certificate(error: BaseException) -> ssl.SSLCertVerificationError | None:
    """The reason why a certificate is not believed; None where that is not the matter."""
    return next((each for each in _chain_of(error) if isinstance(each, ssl.SSLCertVerificationError)), None)


def _for_good(error: BaseException) -> bool:
    """Whether another attempt would come to the same."""
    unknown = (
        isinstance(each, socket.gaierror) and each.errno == socket.EAI_NONAME for each in _chain_of(error)
    )
    return _certificate(error) is not None or isinstance(error, httpcore.LocalProtocolError) or any(unknown)


def _line(error: BaseException) -> str:
    """Why, in one line: what the system says, where that is behind it."""
    said = getattr(error, "verify_message", "")
    if not said:
        # What asyncio makes of it, "Connect call failed", has the number of the error and not its words.
        numbers = [each.errno for each in _chain_of(error) if isinstance(each, OSError) and each.errno]
        told = isinstance(error, _NOT_SENT) and numbers and numbers[-1] in errno.errorcode
        said = os.strerror(numbers[-1]).lower() if told else str(error)
    said = " ".join("".join(each if each.isprintable() else " " for each in said).split())
    return said[:200] or type(error).__name__
