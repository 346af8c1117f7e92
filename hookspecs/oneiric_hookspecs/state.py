"""The state store: what operators want, what nodes do, and what has happened, kept outside the process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import attrs

from .errors import PluginError
from .keys import check_name

#: Plain data: None, bool, int, float (finite), str, lists of these, and dicts with texts as keys.
JSON: TypeAlias = Any


@attrs.frozen
class Stored:
    """A value, and the revision at which it was put.

    Args:
        value: Plain data; a copy, to be kept or changed at will.
        revision: Grows with every change of the store; 1 or more.
    """

    value: JSON
    revision: int


@attrs.frozen
class Record:
    """One entry of a log.

    Args:
        number: Its place; later ones have higher numbers, and none is given twice.
        at: When it was appended, in seconds since 1970 (UTC), by the clock of who did.
        value: Plain data.
    """

    number: int
    at: float
    value: JSON


@attrs.frozen
class NodeSeen:
    """A process that has said lately that it lives.

    Args:
        node: Its name.
        info: What it says about itself, plain data.
        age: Seconds since it last said so, 0 or more.
    """

    node: str
    info: JSON
    age: float


@attrs.frozen
class Retention:
    """How much a store keeps of each log; what is beyond either limit may be dropped when something is appended.

    Args:
        records: The latest so many, 1 or more.
        seconds: Those that are not older, by the clock of who appends; more than 0.
    """

    records: int = attrs.field(default=10_000, validator=attrs.validators.ge(1))
    seconds: float = attrs.field(default=90 * 86_400.0, validator=attrs.validators.gt(0))


@attrs.frozen
class StoreFinding:
    """Something to know about the place of a store that is not open.

    Args:
        level: ``note``: as it should be.  ``warning``: it works, and somebody should look.  ``error``: it would not
            open.
        message: What is so, in a sentence without a full stop.
        where: The file, or the address.
        hint: What to do; None where there is nothing.
    """

    level: Literal["note", "warning", "error"]
    message: str
    where: str | None = None
    hint: str | None = None


@runtime_checkable
class StateStore(Protocol):
    """Small values by key, with revisions, hints of changes, heartbeats and logs.

    Keys, prefixes, and the names of logs and nodes are texts of 1 to 512 characters (a prefix may be empty), such as
    ``desired/pins/adapter:cache``; they have no NUL and no lone surrogate.  All methods may be called from many tasks
    of one loop at once; several stores, in several processes, may be open on the same place.  A caller that is
    cancelled leaves: what it asked for is done as a whole, or not at all.

    Raises:
        StateError: From every method: the store is closed, or cannot be read or written; or what it was given is no
            plain data, or no key, and then nothing is changed.  ``Locked``: another process holds it for too long.
            ``Corrupt``: what is stored is damaged.
    """

    async def get(self, key: str) -> Stored | None:
        """The value of *key*; None where there is none."""

    async def put(self, key: str, value: JSON, *, expect: int | None = None) -> int:
        """Set the value of *key*.

        Args:
            key: Which.
            value: Plain data.
            expect: The revision that *key* must have for it to be done, 0 for none at all; None for whatever.
        Returns:
            Its new revision.
        Raises:
            Conflict: It has another revision, which the error carries; nothing is changed.
        """

    async def scan(self, prefix: str) -> list[tuple[str, Stored]]:
        """Everything whose key begins with *prefix*, by key.

        Raises:
            Corrupt: A value is damaged; a store that can tell which has it in ``damaged``, and the others in ``sound``.
        """

    async def delete(self, key: str, *, expect: int | None = None) -> None:
        """Remove *key*; nothing happens where it is not there and *expect* is None or 0.  Raises: Conflict."""

    async def revision(self, prefix: str) -> int:
        """A number that is the same as before only if nothing below *prefix* was put or deleted; cheap to ask for.

        It only grows, and is not below the revision of anything that was put below *prefix* before it was asked for.
        It may change for other reasons, but not by what happens in other folders: those whose names, up to the first
        ``/``, differ from that of *prefix*.  0 where nothing ever was put.
        """

    def changes(self, prefix: str) -> AsyncIterator[str]:
        """Hints: keys below *prefix* that may have changed.

        They may be repeated, and missed; they end when the store is closed, and look at nothing before the first is
        asked for.
        """

    async def beat(self, node: str, info: JSON, ttl: float) -> None:
        """Say that *node* lives, for the next *ttl* seconds (more than 0)."""

    async def nodes(self) -> list[NodeSeen]:
        """The nodes whose time is not over, by name."""

    async def append(self, log: str, record: JSON) -> int:
        """Add a record to *log*, and drop those that are older than its retention.  Returns its number, 1 or more."""

    async def read(self, log: str, after: int = 0, limit: int = 1000) -> list[Record]:
        """Records of *log* with a number above *after*, oldest first, *limit* at most."""

    async def close(self) -> None:
        """Finish what was begun, and let go of everything; a second time does nothing."""


@attrs.frozen
class Store:
    """A kind of state store, declared by ``oneiric_stores``; chosen by the scheme of ``[state] url``.

    Args:
        scheme: What stands before the colon of ``"sqlite:"``.
        open: Called with what stands behind the colon, with the application's state directory, which need not exist
            (where it is made, it is for its owner alone), and with how much to keep of logs; gives an open store, or an
            awaitable of it.
        summary: One line for people.
        check: Called with what stands behind the colon, and the state directory; may take its time, as a thread's.
            Says what ``open`` would find there, and makes and changes nothing.  None where nobody can say.
        peek: Called with what stands behind the colon, the state directory, and a prefix of keys; gives what ``scan``
            of an open store would, in a few milliseconds, and makes and changes nothing.  Where it cannot, it raises a
            ``StateError``.  None where a store has to be opened for that.
        shared: Whether what is in it is there for other processes, and after this one.
    """

    scheme: str
    open: Callable[[str, Path, Retention], StateStore | Awaitable[StateStore]] = attrs.field(
        eq=False, repr=False
    )
    summary: str = ""
    check: Callable[[str, Path], Iterable[StoreFinding]] | None = attrs.field(
        default=None, eq=False, repr=False
    )
    peek: Callable[[str, Path, str], Iterable[tuple[str, Stored]]] | None = attrs.field(
        default=None, eq=False, repr=False
    )
    shared: bool = True

    def __attrs_post_init__(self) -> None:
        check_name(self.scheme, "scheme of a store")
        if not callable(self.open):
            raise PluginError(f"store {self.scheme}: open is called, found {self.open!r}")
        if self.check is not None and not callable(self.check):
            raise PluginError(f"store {self.scheme}: check is called, found {self.check!r}")
        if self.peek is not None and not callable(self.peek):
            raise PluginError(f"store {self.scheme}: peek is called, found {self.peek!r}")
