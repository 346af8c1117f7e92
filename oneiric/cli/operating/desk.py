"""What a command has that speaks to processes which keep going: the parts, the state store, and who types."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click
from oneiric_hookspecs import OneiricError, SettingsError, StateError, specs

from oneiric.cli.errors import INTERRUPTED

from .moments import When

if TYPE_CHECKING:
    from oneiric.cli.context import Context
    from oneiric.runtime import Runtime
    from oneiric.state import ApplicationStore, Event, Living, Wanted

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

#: The variable that says who types.
ACTOR = "ONEIRIC_ACTOR"
#: What is said where nobody would hear it.
NOBODY = "no process of this application runs"


class Interrupted(OneiricError):
    """Somebody interrupted the command after something was written."""

    exit_code = INTERRUPTED


class Desk:
    """What a command has that speaks to running processes.

    Args:
        context: The command's.
        runtime: Assembled and not started: it knows the parts.
        store: The application's.
        actor: Who types.

    Attributes:
        desired, observed, history, requests: Views of the store.
        written: What was written and stands, and how to take it back; for whoever interrupts.
    """

    def __init__(self, context: Context, runtime: Runtime, store: ApplicationStore, actor: str) -> None:
        from oneiric.state import Desired, History, Observed, Requests

        self.context, self.runtime, self.store, self.actor = context, runtime, store, actor
        self.desired, self.observed = Desired(store), Observed(store)
        self.history, self.requests = History(store), Requests(store)
        self.written: tuple[str, str] | None = None
        self._warned = set[str]()

    async def living(self) -> dict[str, Living]:
        """The processes that live, and do not end just now, by name."""
        from oneiric.state import living

        return {each.name: each for each in await living(self.store) if not each.node.closing}

    async def wanted(self) -> Wanted:
        """What operators want; what of it is damaged is warned of, once."""
        from oneiric.state.desired import mended_by

        wanted = await self.desired.wanted()
        for name, why in wanted.damaged.items():
            if name not in self._warned:
                self._warned.add(name)
                self.context.warn(
                    f"{why}; processes that run go on as before", f"to take it back: {mended_by(name)}"
                )
        return wanted

    async def tell(self, event: Event) -> None:
        """Write down what was done.  That it was done is not undone by a history that cannot be written."""
        try:
            await self.history.append(event)
        except StateError as error:
            self.context.warn(f"it is done, but not in the history: {error.message}")


def actor_of(given: str | None) -> str:
    """Who types: what was *given*, else ONEIRIC_ACTOR, else the user and the machine."""
    said = (given or os.environ.get(ACTOR) or "").strip()
    if said:
        return said[:200]
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in containers
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"[:200]


def store_of(runtime: Runtime) -> ApplicationStore:
    """The application's state store, for a runtime that is not started; whoever asks closes it."""
    from oneiric.state import ApplicationStore

    return ApplicationStore(lambda: runtime.settings, runtime.hooks[specs.oneiric_stores].answers)


def has_desk(runtime: Runtime) -> bool:
    """Whether there is a state store through which other processes can be reached."""
    from oneiric.state import choose

    try:
        return choose(runtime.settings, runtime.hooks[specs.oneiric_stores].answers())[0].shared
    except SettingsError:
        return False


def at_desk(context: Context, run: Callable[[Desk], Awaitable[T]], *, actor: str | None = None) -> T:
    """Await ``run(desk)``, on a loop of its own.

    Raises:
        Interrupted: Somebody interrupted it after something was written; it says what stands.
        OneiricError: As *run* says.
    """
    with context.assembled() as runtime:
        return asyncio.run(_within(context, runtime, run, actor_of(actor)))


async def _within(context: Context, runtime: Runtime, run: Callable[[Desk], Awaitable[T]], actor: str) -> T:
    from oneiric.state import choose

    store, _, _ = choose(runtime.settings, runtime.hooks[specs.oneiric_stores].answers())
    if not store.shared:
        raise StateError(
            f"nobody would hear it: what is in the state store {store.scheme!r} is in one process, and gone with it",
            where=runtime.settings.where("state", "url"),
            hint='to reach other processes: url = "sqlite:" in [state]',
        )
    desk = Desk(context, runtime, store_of(runtime), actor)
    try:
        return await run(desk)
    except asyncio.CancelledError:
        if desk.written is None or context.terminated:
            raise
        what, undo = desk.written
        raise Interrupted(f"interrupted; {what}", hint=undo) from None
    except StateError:
        if desk.written is not None:
            context.warn(*desk.written)
        raise
    finally:
        await desk.store.close()


# --- options that many words have -----------------------------------------------------------------------------------


def options(*names: str) -> Callable[[F], F]:
    """Give a command the options of these *names*, of those that many have."""

    def add(command: F) -> F:
        for name in reversed(names):
            texts, more = _OPTIONS[name]
            command = click.option(*texts, **more)(command)
        return command

    return add


_OPTIONS: dict[str, tuple[Sequence[str], dict[str, Any]]] = {
    "actor": (
        ["--actor"],
        {"metavar": "NAME", "help": f"Who does it, for the history; else {ACTOR}, else USER@HOST."},
    ),
    "note": (["--note"], {"metavar": "TEXT", "default": "", "help": "Why, for everybody who looks."}),
    "until": (
        ["--until"],
        {
            "metavar": "WHEN",
            "type": When(),
            "help": "When it ends by itself: in 90s, 10m, 2h, 1d, or at 2030-01-31T18:00:00Z.",
        },
    ),
}


def timeout(default: float) -> Callable[[F], F]:
    """Give a command ``--timeout``, the argument ``seconds``."""
    return click.option(
        "--timeout",
        "seconds",
        type=click.FloatRange(min=0, min_open=True),
        default=default,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait for the processes; 8 where one has not answered by then.",
    )
