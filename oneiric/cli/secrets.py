"""``oneiric secrets``."""

from __future__ import annotations

import asyncio
from typing import Any

import click
from oneiric_hookspecs import OneiricError

from .config.common import near
from .context import Context
from .group import Group
from .naming import NoSuch
from .operating.desk import NOBODY, Desk, at_desk, options, timeout

#: What ``--check`` exits with where one cannot be had: the settings are right, what they count on is not there.
MISSING = 6


@click.group("secrets", cls=Group)
def command() -> None:
    """List the secrets that the settings name, and whether they can be had; fetch them anew."""


@command.command("list")
@click.option(
    "--check", is_flag=True, help="Fetch each, to see whether it can be had; exits with 6 if one cannot."
)
@click.pass_context
def listing(ctx: click.Context, check: bool) -> None:
    """List the secrets of [secrets]: where each comes from, where that is said, and what refers to it.

    None is shown, and none is fetched, but those that plugins are made with; --check fetches all.
    """
    context: Context = ctx.obj
    found = asyncio.run(_checked(context)) if check else _known(context)
    cannot = [each for each in found if each["state"] == "missing"]

    def human(_: Any) -> str:
        if not found:
            return "[secrets] names none"
        head = ["NAME", "SOURCE", "WHERE", "USED BY"]
        rows = [[e["name"], e["source"], near(e["where"]) or "", _first(e["used_by"])] for e in found]
        if check:
            head.insert(1, "STATE")
            rows = [[row[0], each["state"], *row[1:]] for row, each in zip(rows, found, strict=True)]
        said = "".join(f"\n{each['name']}: {each['reason']}" for each in cannot)
        return context.table(head, rows) + said

    context.show({"secrets": found}, "oneiric/secrets/1", human)
    if cannot:
        ctx.exit(MISSING)


def _first(paths: list[str]) -> str:
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return f"{paths[0]}{more}" if paths else "(nobody)"


def _known(context: Context) -> list[dict[str, Any]]:
    with context.assembled() as runtime:
        return [_row(each) for each in runtime.secrets.known()]


async def _checked(context: Context) -> list[dict[str, Any]]:
    async with context.host() as host:
        secrets: Any = getattr(host, "secrets")  # noqa: B009 - of the runtime, not of what plugins may ask
        found = [_row(each) for each in secrets.known()]
        names = [each["name"] for each in found]
        fetched = await asyncio.gather(*map(secrets.get, names), return_exceptions=True)
    for each, had in zip(found, fetched, strict=True):
        if isinstance(had, BaseException) and not isinstance(had, OneiricError):
            raise had
        each["state"] = "missing" if isinstance(had, OneiricError) else "ok"
        each["reason"] = getattr(had, "reason", None) if isinstance(had, OneiricError) else None
    return found


def _row(known: Any) -> dict[str, Any]:
    return {
        "name": known.name,
        "source": known.source,
        "plugin": known.plugin,
        "where": known.where,
        "used_by": list(known.used_by),
        "state": None,
        "reason": None,
    }


@command.command("rotate")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@options("actor")
@timeout(90.0)
@click.pass_context
def rotate(ctx: click.Context, names: tuple[str, ...], actor: str | None, seconds: float) -> None:
    """Have running processes fetch secrets anew, and build anew what was built from them.

    Without NAME, all of [secrets].  Exits as the process does that fared worst: 4 where something did not come up with
    the new one, and serves with the old one still.
    """
    context: Context = ctx.obj

    async def run(desk: Desk) -> int:
        from oneiric.state import Event

        from .operating.asking import answers_json, asked, worst

        known = desk.runtime.settings.secrets
        for name in names:
            if name not in known:
                raise NoSuch("secret", name, known)
        if not known:
            context.show(
                {"names": [], "nodes": []}, "oneiric/rotate/1", lambda _: "[secrets] names no secret"
            )
            return 0
        living = await desk.living()
        if not living:
            told = f"{NOBODY}: secrets are fetched when it starts"
            context.show({"names": list(names or known), "nodes": []}, "oneiric/rotate/1", lambda _: told)
            return 0
        waited = await asked(desk, "rotate", living, seconds, arguments={"names": list(names)})
        code = worst(waited)
        outcome = "failed" if code else "done"
        await desk.tell(
            Event("rotate", None, desk.actor, "operator", outcome, reason=", ".join(names or known))
        )
        nodes = answers_json(waited)
        shown = {"names": list(names or known), "nodes": nodes}
        context.show(shown, "oneiric/rotate/1", lambda _: context.table(*_rotated(nodes)))
        return code

    if code := at_desk(context, run, actor=actor):
        ctx.exit(code)


def _rotated(nodes: list[dict[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """What each process has made of it, as the head and the rows of a table."""
    rows = []
    for each in nodes:
        result = each["result"] if isinstance(each["result"], dict) else {}
        rebuilt = [part["key"] for part in result.get("rebuilt", []) if not part.get("told")]
        rows.append([each["node"], each["outcome"], ", ".join(rebuilt), each["told"]])
    return ["PROCESS", "OUTCOME", "BUILT ANEW", "WHY"], rows
