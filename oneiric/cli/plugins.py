"""``oneiric plugins``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import click
from oneiric_hookspecs import OneiricError, nearest, specs

from .context import Context
from .failures import Failure
from .group import Group
from .naming import NoSuch
from .output import plain, width
from .switching import off, on

_ERROR = re.compile(r": E\d\d\d ")


class Required(OneiricError):
    """Plugins that were required are not on: ``missing``."""

    exit_code = 3

    def __init__(self, missing: list[str], found: list[dict[str, Any]]) -> None:
        said, near = [], []
        for name in missing:
            there = _named(name, found)
            said += [_state(each) for each in there if each["state"] != "on"] or [f"{name} is not there"]
            close = None if there else nearest(name, _all_names(found))
            near += [close] if close else []
        super().__init__(
            f"required: {'; '.join(said)}", hint=f"did you mean {', '.join(near)}?" if near else None
        )
        self.missing = tuple(missing)


def _state(each: dict[str, Any]) -> str:
    return f"{each['name']} is {each['state']}: {_why(each)}"


class Plugins(Group):
    """A group in which ``--require`` may be followed by several names."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give each word behind ``--require`` an option of its own."""
        words: list[str] = []
        required = False
        for word in args:
            if required and words[-1] != "--require" and not word.startswith("-"):
                words.append("--require")
            elif word.startswith("-"):
                required = word == "--require"
            words.append(word)
        return super().parse_args(ctx, words)


@click.group("plugins", cls=Plugins, invoke_without_command=True)
@click.option("--hooks", is_flag=True, help="The hooks of each in full.")
@click.option("--slow", is_flag=True, help="Where the time goes, the slowest first.")
@click.option("--require", multiple=True, metavar="NAME...", help="Exit with 3 unless all of these are on.")
@click.pass_context
def command(ctx: click.Context, hooks: bool, slow: bool, require: tuple[str, ...]) -> None:
    """List what is plugged in, and what is not, and why."""
    if ctx.invoked_subcommand is not None:
        if hooks or slow or require:
            raise click.UsageError("--hooks, --slow and --require are about all plugins")
        return
    context: Context = ctx.obj
    found = _plugins(context)
    missing = [name for name in require if not _is_on(_named(name, found))]
    if missing:
        raise Required(missing, found)

    def human(_: Any) -> str:
        if slow:
            return _slow(context, found)
        return _in_full(context, found) if hooks else _table(context, found)

    context.show({"plugins": found}, "oneiric/plugins/1", human, page=True)


command.add_command(on)
command.add_command(off)


@command.command("info")
@click.argument("name")
@click.pass_obj
def info(context: Context, name: str) -> None:
    """Show all that is known of one plugin."""
    found = _plugins(context)
    named = _named(name, found)
    if not named:
        raise NoSuch("plugin", name, _all_names(found))
    one, *others = named

    def human(_: Any) -> str:
        lines = {
            "plugin": one["name"],
            "state": one["state"],
            "reason": one["reason"],
            "hint": one["hint"],
            "switched off by": one["by"],
            "origin": one["origin"],
            "distribution": f"{one['distribution'] or ''} {one['version'] or ''}",
            "entry point": f"{one['name']} = {one['target'] or ''}" if one["groups"] else "",
            "groups": ", ".join(one["groups"]),
            "where": one["where"],
            "hooks": ", ".join(one["hooks"]),
            "domains": ", ".join(one["domains"]),
            "candidates": ", ".join(one["candidates"]),
            "load": f"{one['load_ms']:.1f} ms",
            "faults": one["faults"] or "",
            "always on": "yes" if one["protected"] else "",
            "see also": ", ".join(f"{each['name']} of {_from(each)}" for each in others),
        }
        said = "".join(f"\n{plain(finding)}" for finding in one["findings"])
        return context.facts({key: value or "" for key, value in lines.items()}) + said

    context.show(one, "oneiric/plugin/1", human)


def _named(name: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of that name, or of that distribution, however it is spelled; those that are on first."""
    from oneiric.installed import alike

    wanted = alike(name)
    there = [each for each in found if wanted == alike(each["name"])]
    there = there or [each for each in found if wanted == alike(each["distribution"] or "")]
    return sorted(there, key=lambda each: each["state"] != "on")


def _is_on(named: list[dict[str, Any]]) -> bool:
    """Whether a plugin is on; of a distribution, whether all of its plugins are."""
    if len({each["distribution"] for each in named}) == 1:
        return all(each["state"] == "on" for each in named)
    return any(each["state"] == "on" for each in named)


def _all_names(found: list[dict[str, Any]]) -> list[str]:
    return list(
        dict.fromkeys(name for each in found for name in (each["name"], each["distribution"]) if name)
    )


def _plugins(context: Context) -> list[dict[str, Any]]:
    with context.assembled(failures=False) as runtime:
        snapshot = runtime.snapshot
        candidates: dict[str, list[str]] = {}
        for key in tuple(snapshot.keys()):
            for record in snapshot.records(key):
                candidates.setdefault(record.source.name, []).append(f"{key} {record.candidate.provider}")
        domains: dict[str, list[str]] = {}
        for answer in runtime.hooks[specs.oneiric_domains].answers():
            if answer.value.name in snapshot.domains:
                domains.setdefault(answer.plugin, []).append(answer.value.name)
        found = []
        for each in runtime.hooks.plugins:
            # Of two that want one name only the one that is on has declared something.
            mine = each.plugin is not None
            found.append(
                _plugin(
                    each,
                    candidates.get(each.name, []) if mine else [],
                    domains.get(each.name, []) if mine else [],
                )
            )
        return found


def _plugin(record: Any, candidates: list[str], domains: list[str]) -> dict[str, Any]:
    failure = Failure.of(record) if record.state == "failed" else None
    return {
        "name": record.name,
        "origin": record.origin,
        "distribution": record.distribution,
        "version": record.version,
        "groups": list(record.groups),
        "target": record.target or None,
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
    """Why it is not on, and where."""
    by = f" by {each['by']}" if each["by"] else ""
    where = f" ({each['where']})" if each["where"] and each["state"] == "failed" else ""
    return f"{each['reason']}{by}{where}"


def _table(context: Context, found: list[dict[str, Any]]) -> str:
    # One group is always read, and which it is need not be said.
    several = len({group for each in found for group in each["groups"]}) > 1
    rows = [
        [
            e["name"],
            _from(e),
            ", ".join(e["groups"]) if several else "",
            e["state"],
            len(e["candidates"]) or "",
            f"{e['load_ms']:.1f} ms",
            _short(e["hooks"]),
        ]
        for e in found
    ]
    head = ["NAME", "FROM", "GROUPS", "STATE", "CANDIDATES", "LOAD", "HOOKS"]
    reasons = list(_reasons(found))
    return "\n".join([context.table(head, rows), *([""] if reasons else []), *reasons])


def _reasons(found: list[dict[str, Any]]) -> Iterator[str]:
    """Below the table, as long as they are: why plugins are not on, and what the lint says of those that are.

    What is true of several that are off is said once, where the first of them stands.
    """
    off: dict[tuple[str, ...], list[str]] = {}
    for each in found:
        if each["state"] not in {"on", "failed"}:
            off.setdefault(_why_off(each), []).append(_whose(each))
    for each in found:
        if each["state"] == "failed" or (each["state"] != "on" and _why_off(each) in off):
            names = off.pop(_why_off(each), []) or [_whose(each)]
            by = f" by {each['by']}" if each["by"] else ""
            state, reason = f"is {each['state']}", each["reason"]
            if each["state"] == "failed":
                state = "failed"
            elif len(names) > 1:
                state, reason = f"are {each['state']}", re.sub("^it is ", "they are ", reason or "")
            yield from _wrapped(f"{', '.join(names)} {state}: {reason}{by}")
            if each["state"] == "failed" and each["where"]:
                yield f"  {plain(each['where'])}"  # whole, so that it can be copied and clicked
            for line in (each["hint"] or "").splitlines():
                yield from _wrapped(f"  {plain(line)}")
        for finding in each["findings"]:
            if each["state"] == "on" or not _ERROR.search(finding):  # what failed it has just been said
                yield from _wrapped(plain(finding))


def _why_off(each: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(each[name]) for name in ("state", "reason", "by", "hint"))


def _whose(each: dict[str, Any]) -> str:
    return f"{each['name']} of {_from(each)}" if each["distribution"] else str(each["name"])


def _wrapped(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(
        plain(text) if not text.startswith("  ") else f"  {plain(text)}",
        width(),
        subsequent_indent="    ",
        break_on_hyphens=False,
        break_long_words=False,
    )


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
