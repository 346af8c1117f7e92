"""Asking every process that lives to do something once, and waiting for what each makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from oneiric_hookspecs import JSON, a_few

from .answering import Late
from .waiting import Waited, converged

if TYPE_CHECKING:
    from oneiric.state import Answered, Living

    from .desk import Desk


async def asked(
    desk: Desk,
    verb: str,
    living: Mapping[str, Living],
    seconds: float,
    *,
    key: str | None = None,
    arguments: Mapping[str, JSON] = {},
) -> Waited[Answered]:
    """Ask *living* to do *verb*, and wait for the answers; who interrupts takes the request back.

    Args:
        desk: The command's.
        verb: What; see ``oneiric.state.Requests``.
        living: Whom.
        seconds: How long to wait.
        key: About which part.
        arguments: What the verb takes.
    """
    number = await desk.requests.ask(verb, key=key, arguments=arguments, actor=desk.actor, seconds=seconds)

    async def look(one: Living) -> Answered | None:
        return (await desk.requests.answers(number)).get(one.name)

    try:
        return await converged(desk, living, look, seconds, lambda name: f"{name} ({verb})")
    finally:
        await desk.requests.drop(number)


def answers_json(waited: Waited[Answered]) -> list[dict[str, Any]]:
    """The answers as plain data, by process."""
    found = [
        {"node": name, "outcome": "done" if each.ok else "failed", "exit": each.exit, "told": each.text}
        | {"result": each.result}
        for name, each in waited.done.items()
    ]
    for outcome, names in (("late", waited.late), ("gone", waited.gone)):
        exit_code = Late.exit_code if outcome == "late" else 0
        found += [
            {"node": name, "outcome": outcome, "exit": exit_code, "told": "", "result": None}
            for name in names
        ]
    return sorted(found, key=lambda each: str(each["node"]))


def worst(waited: Waited[Answered]) -> int:
    """What a command exits with."""
    return max(
        [each.exit for each in waited.done.values()] + [Late.exit_code for _ in waited.late], default=0
    )


def not_in_time(waited: Waited[Any]) -> list[str]:
    """What is said of those that have not answered."""
    said = [f"no answer in time from {a_few(waited.late)}"] if waited.late else []
    return said + [f"{name}: ended meanwhile" for name in waited.gone]
