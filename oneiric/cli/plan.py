"""``oneiric plan``."""

from __future__ import annotations

from typing import Any

import attrs
import click

from .context import Context

#: What a difference of these sections needs to be in force.
_SECTIONS = {
    "app": "at the next start",
    "plugins": "at the next start",
    "resolver": "shown above where another candidate wins",
    "lifecycle": "from the next operation on",
    "secrets": "when something is built from one the next time",
}
CHANGES = 10


@click.command("plan")
@click.argument("new", required=False, metavar="[NEW.toml]")
@click.pass_context
def command(ctx: click.Context, new: str | None) -> None:
    """Say what another settings file would change; touch nothing.

    Without one, what running processes have bound that is not what wins with the settings, the streams and the pins of
    now.  Exits with 10 where it would change something, with 0 where not.
    """
    context: Context = ctx.obj
    if new is None:
        _running(ctx, context)
        return
    with context.assembled() as runtime:
        other = context.load(new, examine=True)
        changes = [_change(each) for each in runtime.plan(other)]
        now = runtime.settings
        sections = [name for name in attrs_of(now) if getattr(now, name) != getattr(other, name)]

    def human(_: Any) -> str:
        if not changes and not sections:
            return f"{new} would change nothing"
        parts = []
        if changes:
            head = ["DOMAIN", "KEY", "NOW", "THEN", "WHY"]
            rows = [
                [c["domain"], c["key"], c["before"] or "(none)", c["after"] or "(none)", c["because"]]
                for c in changes
            ]
            parts.append(context.table(head, rows))
        parts += [
            f"[{name}] differs: {_SECTIONS[name]}" for name in sections if name != "resolver" or not changes
        ]
        return "\n".join(parts)

    context.show({"new": new, "changes": changes, "sections": sections}, "oneiric/plan/1", human)
    if changes or sections:
        ctx.exit(CHANGES)


def _running(ctx: click.Context, context: Context) -> None:
    """What running processes have bound, against what would win."""
    from .operating.desk import NOBODY
    from .operating.differing import differing

    with context.assembled() as runtime:
        found = differing(context, runtime)

    def human(_: Any) -> str:
        if not found.nodes:
            return f"{NOBODY}; to compare with other settings: oneiric plan NEW.toml"
        if not found.changes:
            many = "1 process has" if len(found.nodes) == 1 else f"{len(found.nodes)} processes have"
            return f"{many} what would win everywhere"
        head = ["PROCESS", "DOMAIN", "KEY", "NOW", "THEN", "WHY"]
        rows = [
            [c["node"], c["domain"], c["key"], c["before"], c["after"] or "(none)", c["because"]]
            for c in found.changes
        ]
        return f"{context.table(head, rows)}\nto have it so: oneiric swap DOMAIN KEY"

    shown = {"new": None, "nodes": list(found.nodes), "changes": list(found.changes), "sections": []}
    context.show(shown, "oneiric/plan/1", human)
    if found.changes:
        ctx.exit(CHANGES)


def attrs_of(settings: Any) -> list[str]:
    """The sections that are compared as a whole."""
    return [each.name for each in attrs.fields(type(settings)) if each.name in _SECTIONS]


def _change(planned: Any) -> dict[str, Any]:
    return {
        "domain": planned.key.domain,
        "key": planned.key.name,
        "kind": planned.kind,
        "before": planned.before,
        "after": planned.after,
        "because": planned.because,
    }
