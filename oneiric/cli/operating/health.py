"""``oneiric health``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click
from oneiric_hookspecs.health import STATUSES

from oneiric.cli.context import Context
from oneiric.cli.naming import NoSuch

from .asking import asked
from .desk import NOBODY, at_desk, timeout
from .known import summary_of

if TYPE_CHECKING:
    from oneiric.state import Living

    from .desk import Desk

SCHEMA = "oneiric/health/1"
#: What it exits with.
ILL, LATE = 6, 8
GROUPS = ("live", "ready", "all")


@click.command("health")
@click.option("--live", "group", flag_value="live", help="Whether the processes should go on.")
@click.option(
    "--ready", "group", flag_value="ready", help="Whether work should be sent to them; the default."
)
@click.option("--group", "named", metavar="NAME", help="A group of [health.groups], or all.")
@click.option("--probe", is_flag=True, help="Ask every part again, now, instead of taking what is known.")
@timeout(30.0)
@click.pass_context
def command(ctx: click.Context, group: str | None, named: str | None, probe: bool, seconds: float) -> None:
    """Say whether the application is well: by the exit code, and in a line.

    Exits with 0 where all of its processes are, with 6 where one is not, or none runs, and with 8 where one that was
    probed has not answered in time.
    """
    context: Context = ctx.obj
    if group is not None and named is not None and group != named:
        raise click.UsageError(f"--{group} is a group, too: leave out --group {named}")
    meant = named or group or "ready"
    found = at_desk(context, lambda desk: _found(desk, meant, probe=probe, seconds=seconds))
    context.show(found, SCHEMA, _line)
    ctx.exit(found["exit"])


async def _found(desk: Desk, group: str, *, probe: bool, seconds: float) -> dict[str, Any]:
    from oneiric.state import living

    there = {each.name: each for each in await living(desk.store)}
    said = {name: _groups(await summary_of(desk.observed, name)) for name in there}
    known = {
        *GROUPS,
        *desk.runtime.settings.health.groups,
        *(each for groups in said.values() for each in groups),
    }
    if group not in known:
        raise NoSuch("group", group, known)
    if probe:
        known_of = {each.name: _said(each, said[each.name], group) for each in there.values()}
        nodes, late = await _probed(desk, there, known_of, seconds)
    else:
        nodes, late = [_said(each, said[each.name], group) for each in there.values()], False
    status = max((each["status"] for each in nodes), key=STATUSES.index, default="failed")
    reasons = [
        reason if len(nodes) == 1 else f"{each['node']}: {reason}"
        for each in nodes
        for reason in each["reasons"]
    ]
    if not nodes:
        reasons = [NOBODY]
    ill = ILL if status in ("failed", "unknown") else 0
    return {
        "group": "probe" if probe else group,
        "status": status,
        "reasons": reasons,
        "nodes": nodes,
        "exit": LATE if late else ill,
    }


def _groups(summary: Mapping[str, Any] | None) -> Mapping[str, Any]:
    found = None if summary is None else summary.get("health")
    return found if isinstance(found, Mapping) else {}


def _said(one: Living, groups: Mapping[str, Any], group: str) -> dict[str, Any]:
    """What a process says of itself, as it last did."""
    if one.node.closing and group != "live":
        return {"node": one.name, "status": "failed", "reasons": ["it is ending"]}
    found = groups.get(group)
    if not isinstance(found, Mapping) or found.get("status") not in STATUSES:
        why = f"it knows no group {group}" if groups else "it has not said yet how it is"
        return {"node": one.name, "status": "unknown", "reasons": [why]}
    return {"node": one.name, "status": found["status"], "reasons": list(found.get("reasons", ()))}


async def _probed(
    desk: Desk, there: dict[str, Living], said: Mapping[str, dict[str, Any]], seconds: float
) -> tuple[list[dict[str, Any]], bool]:
    """What the parts of each process answer now; and whether one has not answered at all.

    Only what is bound can be asked; that something else should be is known from what the process has *said*.
    """
    asking = {name: each for name, each in there.items() if not each.node.closing}
    if not asking:
        return list(said.values()), False
    waited = await asked(desk, "probe", asking, seconds)
    nodes = [said[name] for name in there if name not in asking]
    for name in sorted(asking.keys() - set(waited.gone)):
        answered = waited.done.get(name)
        if answered is None:
            nodes.append({"node": name, "status": "unknown", "reasons": [f"no answer in {seconds:g} s"]})
            continue
        parts = answered.result if isinstance(answered.result, Mapping) else {}
        found = [each["status"] for each in parts.values()] or ["ok" if answered.ok else "unknown"]
        reasons = [
            f"{key}: {each['reason'] or each['status']}"
            for key, each in parts.items()
            if each["status"] != "ok"
        ]
        reasons += [answered.text] if not answered.ok and not parts else []
        worst = max([*found, said[name]["status"]], key=STATUSES.index)
        more = [each for each in said[name]["reasons"] if each not in reasons]
        nodes.append({"node": name, "status": worst, "reasons": [*reasons, *more], "parts": dict(parts)})
    return nodes, bool(waited.late)


def _line(found: dict[str, Any]) -> str:
    if found["status"] == "ok":
        return "ok"
    word = {"live": "not alive", "ready": "not ready"}.get(found["group"], "not well")
    if found["status"] == "degraded":
        word = "degraded"
    first, *more = found["reasons"] or [""]
    return word + (f": {first}" if first else "") + (f" (and {len(more)} more)" if more else "")
