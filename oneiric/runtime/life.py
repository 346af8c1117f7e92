"""The life of a runtime: made, entered on a loop, closed."""

from __future__ import annotations

import asyncio
import inspect
import logging
from asyncio import _get_running_loop as _running_loop  # in asyncio.__all__; gives None where no loop runs
from collections.abc import Callable, Coroutine, Mapping
from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from oneiric_hookspecs import Clock, CloseReport, Executing, Key, RuntimeClosing, WrongThread, specs

from oneiric.attempts import Attempts
from oneiric.clock import RuntimeClock
from oneiric.hooks import HookManager
from oneiric.registry import Change, Registry
from oneiric.secrets import Secrets
from oneiric.settings import Settings
from oneiric.tasks import give_up

from .work import Works

if TYPE_CHECKING:
    from oneiric.state import ApplicationStore
    from oneiric.swap import Engine

    from .control import Control
    from .executors import Executors
    from .following import Following

log = logging.getLogger("oneiric")


class Life:
    """What a runtime is made of, and when.

    Attributes:
        attempts: What has come of calls that may be tried again.
        closing: The task that closes it; None before.
        secrets: The secrets of ``[secrets]``, fetched when they are wanted.
        control: Who keeps what operators want; there once it is started.
        supervision: Watches what is bound, in a process that keeps going; None elsewhere.
        first_things: Done when it is started, before any plugin hears of it.
        last_words: Done when everything has ended, while the state store is still there; each within a few seconds.
    """

    def __init__(
        self, hooks: HookManager, registry: Registry, settings: Settings, clock: RuntimeClock
    ) -> None:
        self.hooks = hooks
        self.registry = registry
        self._settings = settings
        self._clock = clock
        self.secrets = Secrets(hooks, clock)
        self.secrets.adopt(settings)
        self._engine: Engine | None = None
        self._works: Works | None = None
        self._state = "new"
        self.closing: asyncio.Task[CloseReport] | None = None
        self._following: Following | None = None
        self.attempts = Attempts(clock)
        self._faces: dict[str, tuple[Any, Any]] = {}
        self._store: ApplicationStore | None = None
        self._executors: Executors | None = None
        self.control: Control
        self.supervision: Any = None  # an ``oneiric.supervision.Supervision``, of the floor above
        self.first_things: list[Callable[[], Coroutine[Any, Any, object]]] = []
        self.last_words: list[Callable[[], Coroutine[Any, Any, object]]] = []
        self._last_things: list[Callable[[], object]] = []
        registry.on_change(self._changed)

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._settings

    def adopt(self, settings: Settings) -> None:
        """Take *settings*, bound to what is plugged in; before it is started."""
        self._settings = settings
        self.secrets.adopt(settings)

    @property
    def running(self) -> bool:
        """Whether it has been entered, and has not been told to close."""
        return self._state == "running"

    @property
    def clock(self) -> Clock:
        """Seconds that only grow."""
        return self._clock

    def failed(
        self, domain: str, name: str, instance: Any, kind: str, reason: str, *, permanent: bool = False
    ) -> None:
        """Say that something bound has come to an end by itself; see ``Host.failed``."""
        if self.supervision is not None:
            self.supervision.failed(Key(domain, name), instance, kind, reason, permanent=permanent)

    @property
    def state(self) -> ApplicationStore:
        """The state store that ``[state] url`` chooses: opened when it is first asked, closed with the runtime.

        Raises:
            RuntimeClosing: From its methods: the runtime is not started, or closed.
            WrongThread: From its methods: this is not the runtime's loop.
        """
        if self._store is None:
            from oneiric.state import ApplicationStore

            self._store = ApplicationStore(
                lambda: self._settings,
                self.hooks[specs.oneiric_stores].answers,
                lambda: self.on_loop(self.engine("state"), "state"),
            )
        return self._store

    async def executor(self, name: str) -> Executing:
        """The executor of that name, started when it is first asked for, closed with the runtime.

        Args:
            name: As it was declared by ``oneiric_executors``.
        Raises:
            RunError: There is none, there are two, or it does not start.
        """
        self.on_loop(self.engine("executor"), "executor")
        if self._executors is None:
            from oneiric.settings.places import state_folder

            from .executors import Executors

            self._executors = Executors(
                self, lambda: state_folder(self._settings), self.hooks[specs.oneiric_executors].answers
            )
        return await self._executors.get(name)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Take operations from now on, on the loop that is running.

        Raises:
            RuntimeClosing: It was started before; a runtime lives once.
        """
        if self._state != "new":
            raise RuntimeClosing(
                f"the runtime is {self._state}", hint="a runtime lives once; assemble another"
            )
        # What only a runtime that runs needs: looking at one that does not costs a twentieth less without it.
        from oneiric.activation import Fetching
        from oneiric.swap import Engine

        from .control import OwnControl
        from .following import Following

        self._clock.follow(asyncio.get_running_loop())
        domains = self.registry.snapshot.domains

        def contract_of(domain: str, name: str) -> type | None:
            found = domains.get(domain)
            return None if found is None else found.contract_of(name)

        engine = self._engine = Engine(self.hooks, self.registry, self._settings, contract_of, self.secrets)
        self._following = Following(engine, self.registry, lambda: self._settings)
        engine.operations.settled = engine.promotion.settled = self._following.settled
        self._works = Works(self._engine.tasks)
        self.control = OwnControl(engine.administration.adopt)
        # In the threads of work: a source that hangs is not to keep the parts from being swapped.
        self.secrets.carry(Fetching(engine.tasks, self._works.threads))
        self._state = "running"
        try:
            for first in self.first_things:
                await first()
            await self.hooks[specs.oneiric_started](self.hooks.host)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> CloseReport:
        """End everything, in order; what was registered stays to be looked at.

        May be called more than once, and by several tasks; all get the same report.  Cancelling a caller does not
        stop it.

        Returns:
            How every generation ended, and what did not end in time.
        """
        if self._engine is None:
            self._state = "closed"
            self._let_plugins_go()
            return CloseReport()
        if self.closing is not None and self.closing.done():
            return self.closing.result()
        self.on_loop(self._engine, "close")
        if self.closing is None:
            self._state = "closing"
            self.closing = self._engine.loop.create_task(self._close(self._engine), name="close the runtime")
        await asyncio.wait({self.closing})
        return self.closing.result()

    async def _close(self, engine: Engine) -> CloseReport:
        began = self._clock.time()
        seconds = self._settings.lifecycle.shutdown_timeout
        await self.hooks[specs.oneiric_stopping](self.hooks.host)
        assert self._works is not None
        engine.operations.close("the runtime is closing")
        self.secrets.carry(None)
        stuck = await self._works.stop(min(seconds / 4, self._settings.lifecycle.cancel_grace))
        # Before the parts that their runs use, after all that might ask them.
        stuck += await self._close_executors(max(1.0, began + seconds / 2 - self._clock.time()))
        left = max(0.0, began + seconds - self._clock.time())
        report = await engine.shutdown.run(engine.slots.values(), left)
        for last in self.last_words:
            saying = asyncio.create_task(last(), name="last words")
            stuck += await self._see_closed(
                {"last words": saying}, max(1.0, began + seconds - self._clock.time())
            )
        # Parts and plugins may have kept something in it until here.
        stuck += await self._close_store(max(1.0, began + seconds - self._clock.time()))
        self._let_plugins_go()
        self._state = "closed"
        return CloseReport(report.retirements, report.left + stuck)

    async def _close_store(self, seconds: float) -> tuple[str, ...]:
        """Close the state store, if anybody asked for it; its name, if it does not close in time."""
        if self._store is None:
            return ()
        closing = asyncio.create_task(self._store.close(), name="close the state store")
        return await self._see_closed({"the state store": closing}, seconds)

    async def _close_executors(self, seconds: float) -> tuple[str, ...]:
        """Close the executors that somebody asked for; the names of those that do not close in time."""
        if self._executors is None:
            return ()
        ending = self._executors.end()
        return await self._see_closed(
            {f"the executor {name}": task for name, task in ending.items()}, seconds
        )

    async def _see_closed(self, closing: Mapping[str, asyncio.Task[Any]], seconds: float) -> tuple[str, ...]:
        """Wait for what closes; what did not in time is given up."""
        if not closing:
            return ()
        await asyncio.wait(closing.values(), timeout=seconds)
        stuck = []
        for what, task in closing.items():
            if not task.done():
                await give_up(task, self._settings.lifecycle.cancel_grace)
                stuck.append(what)
            elif not task.cancelled() and (error := task.exception()) is not None:
                log.warning("%s did not close well: %s", what, error)
        return tuple(stuck)

    def _let_plugins_go(self) -> None:
        """Close those that were made for this runtime.  The others have nothing to close, and go on explaining."""
        for close in self._last_things:
            close()
        for record in reversed(self.hooks.plugins):
            if inspect.isclass(record.given):
                self.hooks.unregister(record)

    def engine(self, what: str) -> Engine:
        """The engine, for *what*; for those who add to the runtime.

        Raises:
            RuntimeClosing: It does not run.
        """
        engine = self._engine
        if engine is None or self._state == "closed":
            hint = "async with runtime: ..." if self._state == "new" else None
            raise RuntimeClosing(f"{what}: the runtime is {self._state}, not running", hint=hint)
        return engine

    def on_loop(self, engine: Engine, what: str) -> Engine:
        """*engine*, if this is the loop it belongs to.  Raises: WrongThread."""
        if get_ident() != engine.thread or _running_loop() is not engine.loop:
            raise WrongThread(
                f"runtime.{what} belongs on the loop on which the runtime was entered",
                hint=f"from another thread: runtime.blocking.{what}",
            )
        return engine

    def not_elsewhere(self, what: str) -> Engine | None:
        """While it runs, only on its loop; before that and after it, wherever the application is."""
        engine = self._engine
        return engine if engine is None or self._state == "closed" else self.on_loop(engine, what)

    def _changed(self, change: Change) -> None:
        """The registry has changed, in whatever thread."""
        resolved = self.hooks[specs.oneiric_resolved]
        if resolved.impls:
            for won in change.won:
                if won.after is not None:
                    resolved(won.after, won.before)
        if self._following is not None and self._state == "running":
            self._following.changed(change.keys)
