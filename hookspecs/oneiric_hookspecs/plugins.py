"""What a plugin is given: a context when it is made, and a host it may ask."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Literal, Protocol, TypeVar, overload

import attrs

from .attempts import Breaker, Retry
from .candidates import Candidate
from .health import Health
from .lifecycle import Generation
from .remote import Manifest, SourceIO, Trust
from .resolution import Decision
from .runs import Executing
from .state import StateStore

T = TypeVar("T")


class Clock(Protocol):
    """Time, brought in from outside so that tests can bring their own."""

    def time(self) -> float:
        """Seconds that only grow, from an arbitrary start."""


class TaskHandle(Protocol):
    """A task the runtime owns."""

    @property
    def name(self) -> str:
        """Its name, as in status."""

    def done(self) -> bool:
        """Whether it has ended."""

    def cancel(self) -> None:
        """Ask it to end."""

    async def wait(self) -> Any:
        """Wait for its result; what it raised is raised, ``asyncio.CancelledError`` if it was cancelled."""


class Host(Protocol):
    """What the kernel does for plugins.  Narrow on purpose; its code is the kernel's.

    Raises:
        RuntimeClosing: From every method that needs a started runtime, before it is started and after it closed.
    """

    @property
    def clock(self) -> Clock:
        """The runtime's clock."""

    @property
    def brief(self) -> bool:
        """Whether it runs for one command only: what goes on by itself, such as schedules, is not begun in it."""

    def section(self, name: str) -> Any:
        """What the settings in force say in a section that plugins go by: ``app`` or ``telemetry``.

        Raises:
            KeyError: It is none of these.
        """

    def faults(self) -> Mapping[str, int]:
        """How often each plugin went wrong up to now, by its name; those that never did, too.  From any thread."""

    def resolve(self, domain: str, name: str, *, provider: str | None = None) -> Candidate:
        """The candidate that fills the key.  Raises: ResolutionError."""

    def explain(self, domain: str, name: str, *, provider: str | None = None) -> Decision:
        """The decision about the key, with a row for every candidate."""

    def use(self, domain: str, name: str) -> AbstractAsyncContextManager[Any]:
        """Activate if nothing is bound, and lease: ``async with host.use("adapter", "cache") as cache``."""

    def lease(self, domain: str, name: str) -> AbstractContextManager[Any]:
        """Lease what is bound, from any thread.  Raises: NotServing."""

    def bound(self, domain: str, name: str) -> Generation | None:
        """What serves now; None where nothing does.  From any thread; nothing is activated, leased or asked."""

    async def health(self, domain: str, name: str) -> Health:
        """Ask what is bound for its readiness, now; the answer is also in the status.  Raises: NotServing."""

    def failed(
        self,
        domain: str,
        name: str,
        instance: Any,
        kind: Literal["ended", "finished"],
        reason: str,
        *,
        permanent: bool = False,
    ) -> None:
        """Say that something bound has come to an end by itself; for who hosts it.  On the loop.

        In a process that keeps going it is started again as ``[restart]`` says; elsewhere nothing comes of it.

        Args:
            domain: The part's.
            name: The part's.
            instance: What ended; of another one than the bound one nobody wants to know.
            kind: ``ended``: it failed.  ``finished``: it returned.
            reason: In a sentence.
            permanent: Whether trying again cannot help.
        """

    @property
    def state(self) -> StateStore:
        """The state store that ``[state] url`` chooses; opened when it is first asked, closed with the runtime."""

    async def call(self, domain: str, name: str, payload: Any = None) -> Any:
        """Call a part, as its domain says: run the task, invoke the action.

        Args:
            domain: One that has something to call.
            name: The part's.
            payload: Plain data.
        Raises:
            OneiricError: As the domain says; the domain has nothing to call.
        """

    def domain(self, name: str) -> Any:
        """The typed interface of a domain: ``host.domain("event").emit(...)``.  Raises: OneiricError, it has none."""

    def spawn(self, coroutine: Coroutine[Any, Any, Any], *, name: str) -> TaskHandle:
        """Start a task that the runtime owns: reported if it fails, cancelled and awaited at close."""

    async def attempt(
        self,
        call: Callable[[], Awaitable[T]],
        *,
        name: str,
        retry: Retry | None = None,
        breaker: Breaker | None = None,
    ) -> T:
        """Await ``call()``, again where it fails and *retry* allows.

        Args:
            call: Makes one attempt.
            name: What is called, for the breaker and the status; those of one name share them.
            retry: None tries once.
            breaker: None always tries.
        Raises:
            BreakerOpen: It was left alone, and nothing was called.
            Exception: Of the last attempt.
        """

    async def executor(self, name: str) -> Executing:
        """The executor of that name, started when it is first asked for, closed with the runtime.

        Args:
            name: As it was declared by ``oneiric_executors``.
        Raises:
            RunError: There is none, there are two, or it does not start.
        """

    def manifest(self, body: bytes, *, lenient: bool = False) -> Manifest:
        """Read the body of a stream as every sync does.

        Args:
            body: Its bytes, whole.
            lenient: Whether fields that are not known are passed over.
        Raises:
            Malformed: It is not well formed, with the line.
        """

    def trust(self, stream: str) -> Trust:
        """What is known here of whom a stream's verifier believes, for the verifier's own commands.

        Args:
            stream: A name of ``[remote]``.
        Raises:
            SettingsError: There is no such stream, or its keyring cannot be read.
        """

    def source(self, url: str) -> AbstractContextManager[SourceIO]:
        """Open the address of a stream that need not be in the settings, with limits and deadlines of every sync.

        It may wait for the network, so what it gives is used ``in_thread``.

        Args:
            url: The folder, or the bundle.
        Raises:
            SettingsError: There is no fetcher for it, or it is no address.
            FetchError: It cannot be opened.
        """

    async def in_thread(self, call: Callable[[], T], *, name: str) -> T:
        """Call *call* in a thread of the runtime, and wait for what it gives, or raises.

        For what may wait or reckon long.  A waiter that is cancelled goes on at once; the call ends by itself.

        Args:
            call: What is called.
            name: The thread's, as in status.
        Raises:
            TooManyHung: Too many earlier calls never came back.
        """

    @property
    def revision(self) -> int:
        """Grows with every change of what is registered or decided; as long as it is the same, so are those."""

    def keys(self, domain: str) -> tuple[str, ...]:
        """The names of a domain that somebody registered for, sorted."""

    def schema(self, cls: Any) -> dict[str, Any]:
        """The JSON Schema (draft 2020-12) of what ``structure`` would take for *cls*."""

    @overload
    def structure(self, cls: type[T], data: Any, path: str) -> T: ...
    @overload
    def structure(self, cls: Any, data: Any, path: str) -> Any: ...
    def structure(self, cls: Any, data: Any, path: str) -> Any:
        """Turn plain data into *cls*, strictly.  Raises: SettingsError, its problems under *path*."""


class CommandContext(Protocol):
    """The ``ctx.obj`` of a command that a kit adds by the entry-point group ``oneiric.commands``."""

    @property
    def settings(self) -> Any:
        """The settings in force."""

    @property
    def json(self) -> bool:
        """Whether the answer is to be one JSON object."""

    def host(self, *, brief: bool = True) -> AbstractAsyncContextManager[Host]:
        """A started runtime of the settings and plugins: ``async with context.host() as host``.

        Args:
            brief: Whether it ends with the command's answer; as of ``Host``.
        """

    def masked(self, text: str) -> str:
        """*text* without the secrets that are known; for what is not shown by ``show``, which does so itself."""

    def show(self, value: Any, schema: str) -> None:
        """Give the command's answer, plain data: a table or lines for people, with ``--json`` one object.

        Args:
            value: A mapping, or a sequence of mappings.
            schema: Its name, such as ``shop/orders/1``.
        """

    def tell(self, value: Mapping[str, Any], schema: str, text: str) -> None:
        """Give one of several answers, at once: one object in a line with ``--json``, else *text*.

        Args:
            value: Plain data.
            schema: Its name, such as ``shop/order/1``.
            text: The same for people.
        """


@attrs.frozen
class PluginContext:
    """What a plugin's class is called with, once in a runtime.

    Args:
        name: The plugin's name.
        settings: ``[plugins.settings.NAME]`` as an instance of the class's ``Settings``; None without one.
        log: ``oneiric.plugin.NAME``; nothing is configured on it.
        clock: The runtime's clock.
        host: The kernel's services; of a manager without a runtime it is what the application gave, or None.
    """

    name: str
    settings: Any
    log: logging.Logger
    clock: Clock
    host: Any
