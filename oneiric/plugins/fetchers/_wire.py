"""Connections whose every wait ends when the time of the file does (W5)."""

from __future__ import annotations

import functools
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpcore
import httpx
from oneiric_hookspecs import FetchError, Sink

from ._addresses import Address

#: How many addresses of a name are tried.
TRIED = 4
#: Seconds that a connection is kept for the next file.
KEPT = 5.0
_LEAST = 0.001  # no time at all would mean not to wait, which is another error


class Answer:
    """What a server says.

    Args:
        response: As it came.
    """

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response
        self.status: int = response.status

    def header(self, name: str) -> str:
        """All values of a header, with commas between them; empty where there is none."""
        wanted = name.encode("ascii")
        return ", ".join(
            value.decode("latin-1") for each, value in self._response.headers if each.lower() == wanted
        )

    def pieces(self) -> Iterator[bytes]:
        """Its bytes, as they come."""
        yield from self._response.iter_stream()

    def end(self) -> None:
        """Take what has no bytes to its end, so that the connection can be used again."""
        self._response.read()


class Wire:
    """Asks, over connections that are kept for a moment; one question at a time.

    Args:
        ca_file: Certificates to trust; None for those of the system.
        connect_timeout: Seconds until a server is connected.
    """

    def __init__(self, ca_file: str | None, connect_timeout: float) -> None:
        self._ca_file = ca_file
        self._backend = Bounded(connect_timeout)
        self._pools: dict[str, httpcore.ConnectionPool] = {}

    def _pool(self, scheme: str) -> httpcore.ConnectionPool:
        """Raises: FetchError, the certificates cannot be read."""
        if scheme not in self._pools:
            # Neither proxies nor anything else of the environment is asked for (W8).
            self._pools[scheme] = httpcore.ConnectionPool(
                ssl_context=trusted(self._ca_file) if scheme == "https" else None,
                max_connections=2,
                max_keepalive_connections=1,
                keepalive_expiry=KEPT,
                http2=False,
                retries=0,
                network_backend=self._backend,
            )
        return self._pools[scheme]

    @contextmanager
    def ask(self, address: Address, headers: Sequence[tuple[bytes, bytes]], sink: Sink) -> Iterator[Answer]:
        """Ask for *address*; what was not read of the answer is dropped at the end, and its connection.

        Raises:
            FetchError: It cannot be had, or not within the sink's time.
        """
        pool = self._pool(address.scheme)
        self._backend.sink, self._backend.loopback = sink, address.scheme == "http"
        url = httpcore.URL(
            scheme=address.scheme.encode("ascii"),
            host=address.host.encode("ascii"),
            port=address.port,
            target=address.target.encode("ascii"),
        )
        try:
            with pool.stream("GET", url, headers=list(headers)) as response:
                yield Answer(response)
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise _told(address, error, sink) from error
        finally:
            self._backend.sink = None

    def close(self) -> None:
        """Let go of all connections."""
        for pool in self._pools.values():
            pool.close()


class Bounded(httpcore.NetworkBackend):
    """Connects within a time, to addresses that were looked at.

    Args:
        connect_timeout: Seconds for looking up, connecting and greeting, together.
    """

    def __init__(self, connect_timeout: float) -> None:
        self._connect_timeout = connect_timeout
        self._until = 0.0
        #: Whether only this machine is connected to.
        self.loopback = True
        #: Whose time is kept to.
        self.sink: Sink | None = None

    @property
    def left(self) -> float:
        """Seconds that a wait may take."""
        return 0.0 if self.sink is None else self.sink.left

    @property
    def left_to_connect(self) -> float:
        """The same, until it is connected."""
        return min(self.left, max(0.0, self._until - time.monotonic()))

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Look up, check, connect."""
        self._until = time.monotonic() + self._connect_timeout
        addresses = self._addresses(host, port)[:TRIED]
        problem: Exception = httpcore.ConnectError("it has no address")
        for number, address in enumerate(addresses):
            # A share of the time for each: one that swallows everything does not hide the next.
            share = max(_LEAST, self.left_to_connect / (len(addresses) - number))
            try:
                stream = httpcore.SyncBackend().connect_tcp(address, port, share, None, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
            else:
                return Patient(stream, self)
        raise problem

    def sleep(self, seconds: float) -> None:
        """Never (W6)."""
        raise httpcore.ConnectTimeout("nobody sleeps here")

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            found = [str(ipaddress.ip_address(host))]
        except ValueError:
            found = look_up(host, port, self.left_to_connect)
        if self.loopback:  # W1
            found = [each for each in found if ipaddress.ip_address(each).is_loopback]
            if not found:
                raise FetchError(
                    f"http goes to this machine only, and {host} is another one",
                    code="origin",
                    retryable=False,
                )
        return found


class Patient(httpcore.NetworkStream):
    """A connection that waits no longer than it may.

    Args:
        stream: The connection.
        backend: Knows how long.
    """

    def __init__(self, stream: httpcore.NetworkStream, backend: Bounded) -> None:
        self._stream, self._backend = stream, backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Wait for a piece."""
        left = self._backend.left
        if left <= 0:
            raise httpcore.ReadTimeout
        return self._stream.read(max_bytes, max(_LEAST, left))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send."""
        left = self._backend.left
        if left <= 0:
            raise httpcore.WriteTimeout
        self._stream.write(buffer, max(_LEAST, left))

    def close(self) -> None:
        """Let go of it."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Greet."""
        left = max(_LEAST, self._backend.left_to_connect)
        return Patient(self._stream.start_tls(ssl_context, server_hostname, left), self._backend)

    def get_extra_info(self, info: str) -> Any:
        """What the connection knows of itself."""
        return self._stream.get_extra_info(info)


def look_up(host: str, port: int, wait: float) -> list[str]:
    """The addresses of a name.  The system's own patience cannot be set, so that it is asked in a thread of its own.

    Raises:
        httpcore.ConnectError: There are none.
        httpcore.ConnectTimeout: Nobody said within *wait* seconds.
    """
    answers: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put(list(dict.fromkeys(str(each[4][0]) for each in found)))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=ask, name=f"look up {host}", daemon=True).start()
    try:
        answer = answers.get(timeout=max(_LEAST, wait))
    except queue.Empty:
        raise httpcore.ConnectTimeout("its name was not found in time") from None
    if isinstance(answer, Exception):
        raise httpcore.ConnectError(
            f"its name is not found: {getattr(answer, 'strerror', None) or 'it is none'}"
        )
    return answer


def trusted(ca_file: str | None) -> ssl.SSLContext:
    """Whose certificates are believed.  Raises: FetchError, they cannot be read."""
    if ca_file is not None:
        try:
            return ssl.create_default_context(cafile=ca_file)
        except (OSError, ValueError) as error:
            said = (getattr(error, "strerror", None) or "there are none in it").lower()
            raise FetchError(
                f"the certificates in {ca_file} cannot be read: {said}",
                code="io",
                retryable=False,
                hint="see ca_file",
            ) from None
    return _system()


@functools.cache  # reading them takes longer than everything else that a sync does; they change with the system
def _system() -> ssl.SSLContext:
    """Those of the system, where the library was built to look for them (W8); where it has none, those of httpx."""
    paths = ssl.get_default_verify_paths()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    file, folder = Path(paths.openssl_cafile), Path(paths.openssl_capath)
    if file.is_file() or (folder.is_dir() and any(folder.iterdir())):
        context.load_verify_locations(file if file.is_file() else None, folder if folder.is_dir() else None)
        return context
    return httpx.create_ssl_context(trust_env=False)


def _told(address: Address, error: Exception, sink: Sink) -> FetchError:
    if sink.left <= 0:
        return FetchError(f"{address} took too long to answer", code="deadline")
    if isinstance(error, httpcore.ConnectTimeout):
        return FetchError(f"{address} could not be connected to in time")
    found: BaseException | None = error
    while found is not None and not isinstance(found, ssl.SSLCertVerificationError):
        found = found.__cause__ or found.__context__
    if found is not None:
        return FetchError(
            f"{address} is not believed to be itself: {found.verify_message}",
            hint="a certificate of one's own authority is named by ca_file",
        )
    what = (
        "cannot be reached" if isinstance(error, httpcore.ConnectError) else "broke off or did not speak HTTP"
    )
    said = str(error).strip().splitlines()
    return FetchError(f"{address} {what}" + (f": {said[0][:150]}" if said else ""))
