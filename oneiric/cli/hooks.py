"""``oneiric hooks``."""

from __future__ import annotations

from typing import Any

import click

from .context import Context
from .naming import NoSuch


@click.command("hooks")
@click.argument("name", required=False)
@click.pass_obj
def command(context: Context, name: str | None) -> None:
    """List the hooks, how each is called, and who implements it.

    With NAME only that one, and of each implementation where it is and why it stands at its place.
    """
    show_hooks(context, name)


def show_hooks(context: Context, name: str | None) -> None:
    """Show all hooks, or the one of that name, with or without its prefix."""
    with context.assembled() as runtime:
        there = runtime.hooks.describe()
        full = name if name is None or name.startswith("oneiric_") else f"oneiric_{name}"
        found = [_hook(each) for each in there if full in (None, each.name)]
        if name is not None and not found:
            raise NoSuch("hook", full or name, [each.name for each in there])

    def human(_: Any) -> str:
        if name is not None:
            return _one(context, found[0])
        return context.table(
            ["HOOK", "FORM", "CALL", "ANSWER", "IMPLEMENTED BY"],
            [[h["name"], h["form"], h["call"], h["answer"] or "", _who(h)] for h in found],
        )

    context.show({"hooks": found}, "oneiric/hooks/1", human, page=True)


def _hook(hook: Any) -> dict[str, Any]:
    return {
        "name": hook.name,
        "form": hook.form.value,
        "call": "async" if hook.is_async else "sync",
        "answer": None if hook.answer == "None" else hook.answer,
        "summary": hook.summary,
        "since": hook.since,
        "deprecated": None if hook.deprecated is None else str(hook.deprecated),
        "implementations": [
            {
                "plugin": each.plugin,
                "origin": each.origin,
                "distribution": each.distribution,
                "where": each.where,
                "mark": None if each.mark == "-" else each.mark,
                "why": each.why,
                "skipped": each.skipped,
            }
            for each in hook.implementations
        ],
    }


def _who(hook: dict[str, Any]) -> str:
    """Who implements it, first asked first, with the mark that says why there."""
    names = [i["plugin"] + (f" ({i['mark']})" if i["mark"] else "") for i in hook["implementations"]]
    return ", ".join(names)


def _one(context: Context, hook: dict[str, Any]) -> str:
    about = context.facts(
        {
            "hook": hook["name"],
            "form": f"{hook['form']}, {hook['call']}",
            "answer": hook["answer"] or "none",
            "about": hook["summary"],
            "since": hook["since"] or "",
            "deprecated": hook["deprecated"] or "",
        }
    )
    who = hook["implementations"]
    if not who:
        return f"{about}\n\nnobody implements it"
    head = ["#", "PLUGIN", "MARK", "WHY HERE", "WHERE"]
    rows = [[n, i["plugin"], i["mark"] or "", i["why"], i["where"] or ""] for n, i in enumerate(who, 1)]
    return f"{about}\n\n{context.table(head, rows, whole=True)}"
