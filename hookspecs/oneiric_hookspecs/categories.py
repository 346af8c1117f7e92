"""Contracts of well-known adapter keys, so that the providers of one key can take each other's place."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, runtime_checkable

import attrs

from .secrets import Secret


@runtime_checkable
class Cache(Protocol):
    """``adapter:cache``: values by name, which may be forgotten at any time.

    Names are texts, values bytes; a provider that cannot keep a value drops it rather than fail.  All methods
    may be called from many tasks at once.  A caller sees its own writes.
    """

    async def get(self, name: str) -> bytes | None:
        """The value under *name*; None where there is none, or it has expired."""

    async def set(self, name: str, value: bytes, ttl: float | None = None) -> None:
        """Keep *value* under *name*, for *ttl* seconds (more than 0); None keeps it as long as there is room."""

    async def delete(self, name: str) -> bool:
        """Forget *name*; whether it was there."""

    async def clear(self) -> None:
        """Forget everything."""


@runtime_checkable
class SecretStore(Protocol):
    """``adapter:secrets``, and any other adapter that ``[secrets]`` names: secrets by name.

    ``[secrets] db = "adapter:secrets#team/db"`` asks the adapter for ``team/db``.  It may be asked from many tasks at
    once, and need not keep what it gave: that is done for it.
    """

    async def get(self, name: str) -> Secret | None:
        """The secret of that name; None where there is none.  Raises: SecretError, with a reason that may be shown."""


@runtime_checkable
class Messaging(Protocol):
    """``adapter:messaging``: messages to people, by mail, chat, telephone, or whatever a provider has.

    It may be asked from many tasks at once.  What could not be handed over raises; a message is never dropped silently.
    """

    async def send(
        self, message: str, *, level: str = "info", channel: str | None = None, recipients: Sequence[str] = ()
    ) -> str | None:
        """Send *message*.

        Args:
            message: A text.
            level: How much it matters: ``debug``, ``info``, ``warning``, ``error``, ``critical``.
            channel: Where: a room, a topic; None as the provider is set up.
            recipients: Whom; empty for whoever reads the channel.
        Returns:
            What the provider calls the message; None where it has no name for it.
        """


@runtime_checkable
class Storage(Protocol):
    """``adapter:storage``: bytes under names, kept until they are deleted.

    A name is a relative POSIX path: parts with ``/`` between them, none of which is empty, ``.`` or ``..``; at most 255
    bytes of UTF-8 each and 1,000 together; no NUL, no lone surrogate.  Names differ when their texts do.  A provider
    may refuse to keep ``a/b`` beside ``a`` (``OSError``).

    A reader sees what was there before a change, or after it, and never a part.  All methods may be called from many
    tasks at once; of two that write one name the later counts.  A caller that is cancelled leaves its change done, or
    not.

    Every method raises ``TypeError`` for a name that is no text and ``ValueError`` for one that is none of the above;
    ``OSError`` where the provider fails, of the kind ``EFBIG`` where something is larger than it may be.
    """

    async def put(self, name: str, data: bytes) -> None:
        """Keep *data* under *name*, in place of what was there."""

    async def get(self, name: str) -> bytes:
        """All bytes under *name*.  Raises: FileNotFoundError."""

    async def delete(self, name: str) -> bool:
        """Delete what is under *name*; whether there was anything."""

    async def exists(self, name: str) -> bool:
        """Whether there is anything under *name*."""

    async def size(self, name: str) -> int:
        """How many bytes are under *name*.  Raises: FileNotFoundError."""

    async def write(self, name: str, chunks: AsyncIterable[bytes]) -> int:
        """As ``put``, for what need not fit into memory; how many bytes it was.

        Nothing is seen of it before *chunks* has ended; where that raises, nothing has happened.
        """

    def read(self, name: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """As ``get``, for what need not fit into memory: ``async with storage.read(name) as chunks``.

        The chunks, none of them empty, are those of one moment, whatever is written meanwhile.
        Raises: FileNotFoundError, when it is entered.
        """

    async def list(self, prefix: str = "") -> Sequence[str]:
        """All names that begin with *prefix*, any text, in the order of their code points."""


@attrs.frozen
class Delivery:
    """A message in the hands of whoever received it.

    Args:
        id: The message's; the same at each attempt.
        body: What was sent.
        attempt: How many times it was received, this one among them; at least 1.
        receipt: Names this delivery, to ``ack``, ``extend`` and ``nack``; empty for a dead letter, which nobody holds.
    """

    id: str
    body: bytes
    attempt: int
    receipt: str = ""


@attrs.frozen
class QueueCounts:
    """How many messages there are.

    Args:
        ready: Those that would be received now.
        delayed: Those whose delay has not passed.
        held: Those that somebody has received, and not settled.
        dead: Those that were received too often, or given up.
    """

    ready: int = 0
    delayed: int = 0
    held: int = 0
    dead: int = 0


@runtime_checkable
class Queue(Protocol):
    """``adapter:queue``: messages, each to be handled by one of those who receive.

    Each is delivered at least once: who has received it holds it for a time (*visibility*), and acknowledges it, or
    gives it back; one that is neither in time is delivered again, to anybody.  After as many attempts as the provider
    is set up for it becomes a dead letter.  Messages come in about the order in which they were sent.

    Bodies are bytes; times are seconds.  All methods may be called from many tasks at once.  ``TypeError`` and
    ``ValueError`` are for arguments that are none, ``OSError`` for a provider that fails.
    """

    async def send(self, body: bytes, *, delay: float = 0.0) -> str:
        """Put a message at the end; its id.

        Args:
            body: Anything; a provider may limit its size (``ValueError``).
            delay: How long it is not to be received, at least.
        Raises:
            asyncio.QueueFull: There are as many messages as may be.
        """

    async def receive(
        self, limit: int = 1, *, visibility: float | None = None, wait: float = 0.0
    ) -> Sequence[Delivery]:
        """Up to *limit* messages, which are the caller's for a time.

        A caller that is cancelled holds nothing: what it would have got is given back, or runs out.

        Args:
            limit: How many at most, 1 or more; there may be fewer although there are more.
            visibility: How long they are held, more than 0; None as the provider is set up.
            wait: How long to wait for the first while there is none.
        """

    async def ack(self, receipt: str) -> bool:
        """The message is handled: delete it.  Whether it was still this delivery's.

        A late one counts as long as nobody else has received the message.
        """

    async def extend(self, receipt: str, visibility: float) -> bool:
        """Hold it for *visibility* from now on; whether it was still this delivery's.  As late as ``ack``."""

    async def nack(self, receipt: str, *, delay: float = 0.0, dead: bool = False) -> bool:
        """Give it back; whether it was still this delivery's.  As late as ``ack``.

        Args:
            receipt: Of the delivery.
            delay: How long nobody is to receive it.
            dead: Give it up: it is a dead letter now.
        """

    async def counts(self) -> QueueCounts:
        """How many messages there are, of one moment."""

    async def dead(self, limit: int = 100) -> Sequence[Delivery]:
        """Dead letters, those that were sent first at first; nobody holds them."""

    async def revive(self, id: str) -> bool:
        """Put a dead letter back, with no attempts counted; whether there was such a one."""

    async def purge(self, *, dead: bool = False) -> int:
        """Delete every message, those that are held, too; or, where *dead*, the dead letters only.  How many it was."""


@runtime_checkable
class Queries(Protocol):
    """What statements are given to: a database, or a transaction in one.

    Statements and their placeholders are those of the provider's SQL; values stand in *parameters*, by place or by
    name, and never in the text.  Errors of statements are the driver's; one that takes longer than *timeout* seconds
    (None: as the provider is set up) is stopped, has changed nothing, and raises ``TimeoutError``.
    """

    async def execute(
        self,
        statement: str,
        parameters: Sequence[Any] | Mapping[str, Any] = (),
        *,
        timeout: float | None = None,
    ) -> int:
        """Do it; how many rows were changed, 0 where it changes none."""

    async def fetch(
        self,
        statement: str,
        parameters: Sequence[Any] | Mapping[str, Any] = (),
        *,
        timeout: float | None = None,
    ) -> Sequence[tuple[Any, ...]]:
        """Do it; its rows."""

    async def fetch_dicts(
        self,
        statement: str,
        parameters: Sequence[Any] | Mapping[str, Any] = (),
        *,
        timeout: float | None = None,
    ) -> Sequence[dict[str, Any]]:
        """Do it; its rows by the names of their columns.  Raises: ValueError where two columns share one."""


@runtime_checkable
class Database(Queries, Protocol):
    """``adapter:database``: tables, and statements about them.

    All methods may be called from many tasks at once.  A statement outside a transaction is one of its own.
    """

    def transaction(self) -> AbstractAsyncContextManager[Queries]:
        """``async with database.transaction() as queries``: all of its statements, or none.

        It is committed when the block ends, and rolled back where the block raises or is cancelled.  Its statements are
        given to *queries*, and those of other tasks are not among them.
        """


@attrs.frozen
class HttpResponse:
    """What a server answered.

    Args:
        status: The number, whatever it is.
        headers: As they came, by names in lower case.
        url: Who answered: where redirects led.
        body: Unpacked.
    """

    status: int
    headers: Sequence[tuple[str, str]]
    url: str
    body: bytes = attrs.field(default=b"", repr=False)

    def header(self, name: str) -> str:
        """All values of a header, with commas between them; empty where there is none."""
        return ", ".join(value for each, value in self.headers if each == name.lower())


@attrs.frozen(eq=False)
class HttpStream:
    """An answer whose body is still coming.

    Args:
        response: All but the body.
        chunks: The body, unpacked; none of them is empty.  They raise as ``Http.request`` does.
    """

    response: HttpResponse
    chunks: AsyncIterator[bytes]


@runtime_checkable
class Http(Protocol):
    """``adapter:http``: requests to servers, inside the limits that the provider is set up with.

    A URL has a scheme and a host, or is a path, which stands below the provider's own base.  An answer is given back
    whatever its status.  All methods may be called from many tasks at once; a caller that is cancelled goes at once.

    Every method raises ``ValueError`` for what cannot be asked, and ``OSError`` where there is no answer:
    ``PermissionError`` where the provider is not to ask, ``ConnectionError`` where nobody answers, or not as HTTP has
    it, ``TimeoutError`` where it takes too long, and one of the kind ``EFBIG`` where a body is larger than it may be.
    """

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
        """Ask, and take the whole answer.

        Args:
            method: In capitals: ``GET``.
            url: Of whom, or a path.
            params: What is added to the query.
            headers: Over those of the provider.
            body: What is sent.
            timeout: Seconds for everything; None as the provider is set up.
            idempotent: Whether it may be done again where nobody knows whether it was; None is by the method.
        """

    def stream(
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
    ) -> AbstractAsyncContextManager[HttpStream]:
        """As ``request``, for what need not fit into memory: ``async with http.stream("GET", url) as stream``.

        Args:
            method: In capitals: ``GET``.
            url: Of whom, or a path.
            params: What is added to the query.
            headers: Over those of the provider.
            body: What is sent.
            timeout: Seconds for everything, the last byte too; None as the provider is set up.
            idempotent: Whether it may be done again where nobody knows whether it was; None is by the method.
            max_bytes: Bytes that the body may have; None as the provider is set up.
        """
