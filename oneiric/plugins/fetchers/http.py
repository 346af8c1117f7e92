"""``https:``, and ``http:`` to this machine.  Rules, each tested by its number:

W1   http goes to loopback only: to an address of it, or to localhost where that is one
W2   what was asked for is taken as it is: no encoding but identity
W3   nobody is led elsewhere, but by https to hosts that the settings list
W4   the credential goes to the address's own origin, whatever the header
W5   every wait ends when the sink's time does: for names, connections, heads and each piece
W6   it never sleeps and never asks twice; what the server wants is told
W7   absent is what the server says is absent: 404, 410, 403
W8   the environment changes nothing: no proxy, no certificates, no ``.netrc``
W9   no error tells a query, a user or a credential
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from oneiric_hookspecs import Fetched, Fetcher, FetchError, Fetching, PluginError, Sink, SourceSpec, hookimpl

from ._addresses import Address, check_header, is_loopback, read_host

if TYPE_CHECKING:
    from ._wire import Answer, Wire

#: How often an answer may lead on.
HOPS = 5
_LEADS = frozenset({301, 302, 303, 307, 308})
_ABSENT = frozenset({403, 404, 410})


class Web:
    """A stream that a web server serves.

    Args:
        spec: Where, and what is sent along.
        loopback: Whether only this machine is asked.
    Raises:
        PluginError: The address, the header or one of the hosts is none.
        FetchError: It may not be asked.
    """

    def __init__(self, spec: SourceSpec, *, loopback: bool) -> None:
        self._spec, self._base = spec, Address.parse(spec.url)
        if loopback and not is_loopback(self._base.host):  # W1
            raise FetchError(
                f"http goes to this machine only, and {self._base.host} is another one",
                code="origin",
                retryable=False,
                hint="write https:",
            )
        self._redirects = frozenset(map(read_host, spec.redirects))
        if spec.credential is not None:
            check_header(spec.header, spec.credential)
        self._wire: Wire | None = None

    def get(self, path: str, sink: Sink, *, etag: str | None = None) -> Fetched:
        """Ask for a file, once, and where an answer leads on, there."""
        if self._wire is None:
            from ._wire import Wire  # the library comes with it

            self._wire = Wire(self._spec.ca_file, self._spec.connect_timeout)
        address = self._base.below(path)
        for hop in range(HOPS + 1):
            with self._wire.ask(address, self._headers(address, etag, led=hop > 0), sink) as answer:
                if answer.status not in _LEADS:
                    return self._taken(answer, address, sink, etag)
                address = self._next(address, answer.header("location"))
        raise FetchError(
            f"{self._base.below(path)} led on more than {HOPS} times", code="redirect", retryable=False
        )

    def close(self) -> None:
        """Let go of connections."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def _headers(self, address: Address, etag: str | None, *, led: bool) -> list[tuple[bytes, bytes]]:
        headers = [
            (b"Host", address.authority.encode("ascii")),
            (b"Accept", b"*/*"),
            (b"Accept-Encoding", b"identity"),  # W2
            (b"User-Agent", b"oneiric"),
        ]
        if etag is not None:
            headers.append((b"If-None-Match", etag.encode("latin-1")))
        credential = self._spec.credential
        if credential is not None and not led:  # W4: whoever was led away is not believed to have come back
            scheme = b"Bearer " if self._spec.header.lower() == "authorization" else b""
            headers.append((self._spec.header.encode("ascii"), scheme + credential.encode("ascii")))
        return headers

    def _taken(self, answer: Answer, address: Address, sink: Sink, etag: str | None) -> Fetched:
        status = answer.status
        if status == 304 and etag is not None:
            answer.end()
            return Fetched("unchanged", answer.header("etag") or etag)
        if status in _ABSENT:  # W7
            return Fetched("absent")
        if status != 200:
            raise FetchError(
                f"{address} answered {status}",
                code="http-status",
                retryable=status in {408, 425, 429} or status >= 500,
                retry_after=retry_after(answer.header("retry-after")),  # W6
                hint="look at auth and its secret" if status == 401 else None,
            )
        encoding = answer.header("content-encoding").strip().lower()
        if encoding not in {"", "identity"}:  # W2
            raise FetchError(
                f"{address} sent what is packed, and was asked not to", code="encoding", retryable=False
            )
        for piece in answer.pieces():
            sink.write(piece)
        return Fetched("ok", answer.header("etag") or None)

    def _next(self, address: Address, location: str) -> Address:
        """W3."""
        listed = "list the host under redirects if that is meant"
        if not self._redirects:
            raise FetchError(f"{address} leads elsewhere", code="redirect", retryable=False, hint=listed)
        try:
            found = address.led(location)
        except PluginError:
            raise FetchError(
                f"{address} leads to what is no address", code="redirect", retryable=False
            ) from None
        if found.scheme != "https" or (found.host, found.port) not in self._redirects:
            raise FetchError(
                f"{address} leads to {found.scheme}://{found.authority}",
                code="origin",
                retryable=False,
                hint=listed,
            )
        return found


def retry_after(value: str) -> float | None:
    """Seconds; None where it does not say (RFC 9110, 10.2.3)."""
    from email.utils import parsedate_to_datetime

    if value.isascii() and value.isdigit():
        return float(value) if len(value) < 10 else 1e9
    try:
        return max(0.0, parsedate_to_datetime(value[:60]).timestamp() - time.time())
    except (ValueError, OverflowError, OSError, TypeError):
        return None


def open_https(spec: SourceSpec) -> Fetching:
    """A web server, by TLS."""
    return Web(spec, loopback=False)


def open_http(spec: SourceSpec) -> Fetching:
    """A web server of this machine."""
    return Web(spec, loopback=True)


@hookimpl
def oneiric_fetchers() -> Iterable[Fetcher]:
    """Web servers."""
    yield Fetcher("https", open_https, "a web server")
    yield Fetcher("http", open_http, "a web server of this machine; others are asked by https")
