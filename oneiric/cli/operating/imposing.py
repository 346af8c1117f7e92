"""Holding, pausing and draining a part, or all of a domain, and taking that back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import attrs
import click
from oneiric_hookspecs import Key, Mode, a_few

from oneiric.cli.context import Context
from oneiric.cli.naming import domain_of

from .desk import NOBODY, Desk, at_desk, options, timeout
from .moments import stamp
from .parts import part, split
from .waiting import Waited, converged

if TYPE_CHECKING:
    from oneiric.state import Event, Living, Seen

#: Seconds to wait: for a word that everybody hears at once, and for users who have to finish.
SECONDS, DRAINING = 10.0, 60.0
DONE = {"hold": "held", "pause": "paused", "drain": "drained", "resume": "resumed", "note": "noted"}

Imposing = Callable[..., None]


@attrs.frozen(kw_only=True)
class Said:
    """What was written.

    Args:
        verb: ``hold``, ``pause``, ``drain``, ``resume`` or ``note``.
        target: A key, or a domain.
        revision: Of it.
        note: Why.
        until: Until when, in seconds since 1970.
        undo: The command that takes it back.
    """

    verb: str
    target: Key | str
    revision: int
    note: str = ""
    until: float | None = None
    undo: str = ""


def imposing(mode: Mode, about: str) -> click.Command:
    """The command that imposes *mode*; *about* is its help."""

    @click.command(mode, help=about)
    @click.argument("domain")
    @click.argument("key", required=False)
    @options("note", "until", "actor")
    @waits(DRAINING if mode == "drain" else SECONDS)
    @click.pass_obj
    def command(
        context: Context,
        domain: str,
        key: str | None,
        note: str,
        until: float | None,
        actor: str | None,
        wait: bool,
        seconds: float,
    ) -> None:
        async def write(desk: Desk, target: Key | str) -> Said:
            revision = await desk.desired.impose(target, mode, actor=desk.actor, note=note, until=until)
            undo = f"oneiric resume {_words(target)}"
            return Said(verb=mode, target=target, revision=revision, note=note, until=until, undo=undo)

        run(context, domain, key, write, actor=actor, seconds=seconds if wait else None)

    return command


def waits(default: float) -> Callable[[Any], Any]:
    """Give a command ``--wait/--no-wait``, and ``--timeout``."""

    def add(command: Any) -> Any:
        told = "Wait until every running process has heard of it."
        return click.option("--wait/--no-wait", default=True, show_default=True, help=told)(
            timeout(default)(command)
        )

    return add


def run(
    context: Context,
    domain: str,
    key: str | None,
    write: Callable[[Desk, Key | str], Awaitable[Said]],
    *,
    actor: str | None,
    seconds: float | None,
) -> None:
    """Write it, wait for the processes, and show what came of it.

    Args:
        context: The command's.
        domain: As it was typed.
        key: The same; None for all of the domain.
        write: Writes it.
        actor: Who.
        seconds: How long to wait; None for not at all.
    """
    domain, (name,) = split(domain, key)

    async def within(desk: Desk) -> None:
        living = await desk.living()
        target: Key | str = (
            domain_of(desk.runtime, domain) if name is None else await part(desk, domain, name, living)
        )
        said = await write(desk, target)
        undo = f"to take it back: {said.undo}" if said.undo else ""
        desk.written = (f"{_text(target)} is {_imposed(said.verb)}, and that stands", undo)
        await desk.tell(_event(desk, said))
        waited: Waited[dict[Key, tuple[str, ...]]] = Waited()
        if seconds is not None:
            waited = await _heard(desk, said, living, seconds)
        desk.written = None
        await _answer(desk, said, living, waited, waiting=seconds is not None)

    at_desk(context, within, actor=actor)


async def _heard(
    desk: Desk, said: Said, living: dict[str, Living], seconds: float
) -> Waited[dict[Key, tuple[str, ...]]]:
    """Wait until everybody has it in force, and where it is a drain until the last user has gone, or lost it."""
    doing: dict[str, str] = {}

    async def look(one: Living) -> dict[Key, tuple[str, ...]] | None:
        if one.node.desired < said.revision:
            return None
        if said.verb != "drain":
            return {}
        parts = await _of(desk, one.name, said.target)
        busy = [_doing(key, seen) for key, seen in sorted(parts.items()) if not drained(seen)]
        doing[one.name] = f"{one.name} ({'; '.join(busy)})"
        return None if busy else {key: seen.left for key, seen in parts.items() if seen.left}

    return await converged(desk, living, look, seconds, lambda name: doing.get(name, name))


async def _of(desk: Desk, node: str, target: Key | str) -> dict[Key, Seen]:
    if isinstance(target, Key):
        seen = await desk.observed.seen(node, target)
        return {} if seen is None else {target: seen}
    return {key: seen for key, seen in (await desk.observed.of(node)).items() if key.domain == target}


def drained(seen: Seen) -> bool:
    """Whether nobody has it any more, and nothing of it is open."""
    return seen.phase == "drained" or (seen.provider is None and seen.phase in ("empty", "failed", "closed"))


def _doing(key: Key, seen: Seen) -> str:
    return f"{key.name}: {seen.pending or seen.phase}"


async def _answer(
    desk: Desk,
    said: Said,
    living: dict[str, Living],
    waited: Waited[dict[Key, tuple[str, ...]]],
    *,
    waiting: bool,
) -> None:
    from .answering import Late

    target = said.target
    key = target.name if isinstance(target, Key) else None
    facts = {
        "domain": target.domain if isinstance(target, Key) else target,
        "key": key,
        "actor": desk.actor,
        "note": said.note,
        "until": stamp(said.until),
        "waited": waiting,
        "nodes": [
            {
                "node": name,
                "outcome": "done"
                if name in waited.done
                else "late"
                if name in waited.late
                else "gone"
                if name in waited.gone
                else "asked",
                "left": {str(key): list(users) for key, users in waited.done.get(name, {}).items()},
            }
            for name in sorted(living)
        ],
    }
    late = None
    what = f"{_text(target)} is {_imposed(said.verb)}"
    if waited.late:
        now = (
            "draining still" if said.verb == "drain" else f"{_imposed(said.verb)} as soon as they hear of it"
        )
        undo = f"to take it back: {said.undo}" if said.undo else None
        late = Late(f"no answer in time from {a_few(waited.late)}; {_text(target)} is {now}", hint=undo)
    if late is None or desk.context.json:
        lines = [f"{what}{_where(living, waiting=waiting, verb=said.verb)}", *await _others(desk, said)]
        lines += [
            f"{key} was closed under {a_few(users)} in {name}; how long they have: [lifecycle] drain_timeout"
            for name, lost in waited.done.items()
            for key, users in sorted(lost.items())
        ]
        desk.context.show(facts, f"oneiric/{said.verb}/1", lambda _: "\n".join(lines))
    if late is not None:
        raise late


def _where(living: dict[str, Living], *, waiting: bool, verb: str) -> str:
    if verb == "note":
        return ""
    if not living:
        return f"; {NOBODY}: it counts from the next start"
    many = "1 process" if len(living) == 1 else f"{len(living)} processes"
    return f" in {many}" if waiting else f"; {many} will hear of it"


async def _others(desk: Desk, said: Said) -> list[str]:
    """What is imposed all the same, after something was taken back."""
    if said.verb != "resume":
        return []
    import time

    wanted, now = await desk.wanted(), time.time()
    still: list[str] = []
    for text, admin in sorted(wanted.admins.items()):
        mode = admin.mode(now)
        mark = None if mode is None else admin.mark(mode, now)
        above = isinstance(said.target, Key) and text == said.target.domain
        below = not isinstance(said.target, Key) and text.startswith(f"{said.target}:")
        if mode is not None and mark is not None and (above or below):
            who = f" by {mark.actor}" if mark.actor else ""
            words = text.replace(":", " ")
            still.append(f"{text} is {_imposed(mode)}{who} all the same: oneiric resume {words}")
    return still


def _imposed(verb: str) -> str:
    return DONE[verb]


def _event(desk: Desk, said: Said) -> Event:
    from oneiric.state import Event

    return Event(said.verb, str(said.target), desk.actor, "operator", "done", reason=said.note)


def _text(target: Key | str) -> str:
    return str(target) if isinstance(target, Key) else f"domain {target}"


def _words(target: Key | str) -> str:
    return f"{target.domain} {target.name}" if isinstance(target, Key) else target
