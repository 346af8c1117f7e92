"""``adapter:http`` ``httpx``: requests inside limits, over connections that are kept."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
from oneiric_hookspecs import (
    Candidate,
    Health,
    Host,
    HttpResponse,
    HttpStream,
    Key,
    PluginContext,
    hookimpl,
)

from oneiric.plugins._http.messages import Asked, pairs
from oneiric.plugins._http.policy import Policy

if TYPE_CHECKING:
    from oneiric.plugins._http.client import Client
    from oneiric.plugins._http.messages import Answer


@attrs.frozen(eq=False)
class Settings(Policy):
    """Where requests may go, with what, and how much may come of them.

    Args:
        probe: A path below ``base_url`` that is asked whenever somebody wants to know whether the server is well, which
            it is where the answer is 200 to 399; empty asks nothing.
    """

    probe: str = ""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.probe and not self.base_url:
            raise ValueError("probe is a path below base_url, and there is none")


class HttpxClient:
    """An ``Http`` that keeps connections open, and speaks HTTP/2 with those who offer it.

    * Private addresses are not connected to unless the settings allow it, also where a name or a redirect leads there.
    * A name is looked up once for a connection; what is connected to is the address that was looked at.
    * Along a redirect to another origin go neither the body nor headers that say who asks.  Cookies are not kept.
    * A request is tried again where that changes nothing; how long a server wants to be left alone is kept to.
    * No proxy, password or certificate comes from the environment.

    Args:
        settings: Where requests may go, and how much may come.
        client: Asks.
    """

    def __init__(self, settings: Settings, client: Client) -> None:
        self._settings, self._client = settings, client

    async def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout: float | None = None,
        idempotent: bool | None = None,
    ) -> HttpResponse:
        """Ask, and take the whole answer."""
        asked = _asked(method, url, params, headers, body, idempotent)
        return _response(await self._client.request(asked, timeout=_time(timeout)))

    @contextlib.asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout: float | None = None,
        idempotent: bool | None = None,
        max_bytes: int | None = None,
    ) -> AsyncIterator[HttpStream]:
        """As ``request``, for what need not fit into memory."""
        asked = _asked(method, url, params, headers, body, idempotent)
        if max_bytes is not None and (max_bytes.__class__ is not int or max_bytes < 1):
            raise ValueError(f"max_bytes is a whole number, at least 1, found {max_bytes!r}")
        async with self._client.stream(asked, timeout=_time(timeout), max_bytes=max_bytes) as stream:
            yield HttpStream(_response(stream.head), stream.chunks)

    async def health(self) -> Health:
        """Ok while it is open; where there is something to probe, what comes of that."""
        details: dict[str, Any] = {"under_way": self._client.in_use}
        if not self._settings.probe:
            self._client.check_open()
            return Health("ok", details=details)
        answer = await self._client.request(Asked("GET", f"/{self._settings.probe.lstrip('/')}"))
        if 200 <= answer.status <= 399:
            return Health("ok", details=details)
        return Health("failed", f"the probe was answered {answer.status}", details=details)

    async def aclose(self) -> None:
        """Let go of all connections, for good; a second time does nothing."""
        await self._client.aclose()


def _asked(
    method: str,
    url: str,
    params: Mapping[str, str] | None,
    headers: Mapping[str, str] | None,
    body: bytes,
    idempotent: bool | None,
) -> Asked:
    """Raises: TypeError, ValueError."""
    for name, value in (("method", method), ("url", url)):
        if not isinstance(value, str):
            raise TypeError(f"{name} is a text, found {type(value).__name__}")
    if not isinstance(body, bytes):
        raise TypeError(f"body is bytes, found {type(body).__name__}")
    texts: list[Any] = [each for pair in (headers or {}).items() for each in pair]
    if not all(isinstance(each, str) for each in texts):
        raise TypeError("headers are texts by texts")
    return Asked(method, url, pairs(params or {}, "params"), dict(headers or {}), body, idempotent)


def _time(seconds: float | None) -> float | None:
    if seconds is not None and not seconds > 0:
        raise ValueError(f"timeout is a number of seconds, more than 0, found {seconds!r}")
    return seconds


def _response(answer: Answer) -> HttpResponse:
    return HttpResponse(answer.status, tuple(answer.headers), answer.url, answer.body)


async def create(settings: Settings, host: Host) -> HttpxClient:
    """A client with no connections yet."""
    from oneiric.plugins._http.client import Client  # httpx comes with it

    return HttpxClient(settings, Client(settings, host))


class Plugin:
    """The plugin.

    Args:
        context: What every plugin is given; requests use its host's patience and threads.
    """

    def __init__(self, context: PluginContext) -> None:
        self._host: Host = context.host

    @hookimpl
    def oneiric_candidates(self) -> Iterable[Candidate]:
        """Declare ``httpx``."""
        yield Candidate(
            Key.of("adapter", "http"),
            "httpx",
            self.create,
            capabilities=frozenset({"stream"}),
            settings_class=Settings,
            summary="requests inside limits, over connections that are kept",
        )

    async def create(self, settings: Settings) -> HttpxClient:
        """As the function."""
        return await create(settings, self._host)
