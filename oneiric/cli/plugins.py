"""``oneiric plugins``."""

from __future__ import annotations

from typing import Any

import click
from oneiric_hookspecs import OneiricError, nearest, specs

from .context import Context
from .failures import Failure
from .group import Group
from .naming import NoSuch


class Required(OneiricError):
    """Plugins that were required are not on: ``missing``."""

    exit_code = 3

    def __init__(self, missing: list[str], found: list[dict[str, Any]]) -> None:
        there = {
            name: each for each in reversed(found) for name in (each["name"], each["distribution"]) if name
        }
        said = [_state(there[name]) if name in there else f"{name} is not there" for name in missing]
        near = [close for name in missing if name not in there and (close := nearest(name, there))]
        super().__init__(
            f"required: {'; '.join(said)}", hint=f"did you mean {', '.join(near)}?" if near else None
        )
        self.missing = tuple(missing)


def _state(each: dict[str, Any]) -> str:
    return f"{each['name']} is {each['state']}: {_why(each)}"


@click.group("plugins", cls=Group, invoke_without_command=True)
@click.option("--hooks", is_flag=True, help="The hooks of each in full.")
@click.option("--slow", is_flag=True, help="Where the time goes, the slowest first.")
@click.option(
    "--require", multiple=True, metavar="NAME", help="Exit with 3 unless this one is on; may be repeated."
)
@click.pass_context
def command(ctx: click.Context, hooks: bool, slow: bool, require: tuple[str, ...]) -> None:
    """List what is plugged in, and what is not, and why."""
    if ctx.invoked_subcommand is not None:
        if hooks or slow or require:
            raise click.UsageError("--hooks, --slow and --require are about all plugins")
        return
    context: Context = ctx.obj
    found = _plugins(context)
    on = {name for each in found if each["state"] == "on" for name in (each["name"], each["distribution"])}
    missing = [name for name in require if name not in on]
    if missing:
        raise Required(missing, found)

    def human(_: Any) -> str:
        if slow:
            return _slow(context, found)
        return _in_full(context, found) if hooks else _table(context, found)

    context.show({"plugins": found}, "oneiric/plugins/1", human)


@command.command("info")
@click.argument("name")
@click.pass_obj
def info(context: Context, name: str) -> None:
    """Show all that is known of one plugin."""
    found = _plugins(context)
    one = next((each for each in found if name in (each["name"], each["distribution"])), None)
    if one is None:
        raise NoSuch("plugin", name, [each["name"] for each in found])

    def human(_: Any) -> str:
        lines = {
            "plugin": one["name"],
            "state": one["state"],
            "reason": one["reason"],
            "hint": one["hint"],
            "switched off by": one["by"],
            "origin": one["origin"],
            "distribution": f"{one['distribution'] or ''} {one['version'] or ''}",
            "where": one["where"],
            "hooks": ", ".join(one["hooks"]),
            "domains": ", ".join(one["domains"]),
            "candidates": ", ".join(one["candidates"]),
            "load": f"{one['load_ms']:.1f} ms",
            "faults": one["faults"] or "",
            "always on": "yes" if one["protected"] else "",
        }
        said = "".join(f"\n{finding}" for finding in one["findings"])
        return context.facts({key: value or "" for key, value in lines.items()}) + said

    context.show(one, "oneiric/plugin/1", human)


def _plugins(context: Context) -> list[dict[str, Any]]:
    with context.assembled() as runtime:
        snapshot = runtime.snapshot
        candidates: dict[str, list[str]] = {}
        for key in tuple(snapshot.keys()):
            for record in snapshot.records(key):
                candidates.setdefault(record.source.name, []).append(f"{key} {record.candidate.provider}")
        domains: dict[str, list[str]] = {}
        for answer in runtime.hooks[specs.oneiric_domains].answers():
            if answer.value.name in snapshot.domains:
                domains.setdefault(answer.plugin, []).append(answer.value.name)
        return [
            _plugin(each, candidates.get(each.name, []), domains.get(each.name, []))
            for each in runtime.hooks.plugins
        ]


def _plugin(record: Any, candidates: list[str], domains: list[str]) -> dict[str, Any]:
    failure = Failure.of(record) if record.state == "failed" else None
    return {
        "name": record.name,
        "origin": record.origin,
        "distribution": record.distribution,
        "version": record.version,
        "state": record.state,
        "reason": failure.what if failure else record.reason or None,
        "hint": failure.hint if failure and failure.hint else None,
        "by": record.by or None,
        "where": failure.where if failure else record.where,
        "hooks": list(record.hooks),
        "domains": domains,
        "candidates": candidates,
        "load_ms": round(record.load_ms, 3),
        "faults": record.faults,
        "findings": [str(each).splitlines()[0] for each in record.findings],
        "protected": record.protected,
        "timings": {
            hook: {"count": t.count, "total_ms": round(t.total * 1000, 3), "max_ms": round(t.max * 1000, 3)}
            for hook, t in record.timings.items()
        },
    }


def _from(each: dict[str, Any]) -> str:
    if each["distribution"]:
        return f"{each['distribution']} {each['version'] or ''}".strip()
    return str(each["origin"])


def _short(hooks: list[str]) -> str:
    return ", ".join(hook.removeprefix("oneiric_") for hook in hooks)


def _why(each: dict[str, Any]) -> str:
    """What it does; or why it does not, and where."""
    if each["state"] == "on":
        return _short(each["hooks"])
    by = f" by {each['by']}" if each["by"] else ""
    where = f" ({each['where']})" if each["where"] and each["state"] == "failed" else ""
    return f"{each['reason']}{by}{where}"


def _table(context: Context, found: list[dict[str, Any]]) -> str:
    rows = [
        [e["name"], _from(e), e["state"], len(e["candidates"]) or "", f"{e['load_ms']:.1f} ms", _why(e)]
        for e in found
    ]
    return context.table(["NAME", "FROM", "STATE", "CANDIDATES", "LOAD", "HOOKS, OR WHY NOT"], rows)


def _in_full(context: Context, found: list[dict[str, Any]]) -> str:
    rows = []
    for each in found:
        for number, hook in enumerate(each["hooks"] or ["(none)"]):
            rows.append(["" if number else each["name"], "" if number else each["state"], hook])
    return context.table(["NAME", "STATE", "HOOK"], rows)


def _slow(context: Context, found: list[dict[str, Any]]) -> str:
    rows = [(each["load_ms"], each["name"], "load", 1, each["load_ms"]) for each in found if each["load_ms"]]
    for each in found:
        rows += [
            (t["total_ms"], each["name"], hook, t["count"], t["max_ms"])
            for hook, t in each["timings"].items()
        ]
    rows.sort(reverse=True)
    return context.table(
        ["NAME", "IN", "MEASURED", "TOTAL", "LONGEST"],
        [
            [name, what, count, f"{total:.2f} ms", f"{longest:.2f} ms"]
            for total, name, what, count, longest in rows
        ],
    )
