"""``oneiric list``."""

from __future__ import annotations

from typing import Any

import click
from oneiric_hookspecs import Request

from .context import Context
from .naming import MARKS, decided, domain_of, said


@click.command("list")
@click.option("--domain", metavar="DOMAIN", help="Only the parts of this domain.")
@click.option(
    "--shadowed", is_flag=True, help="A line for each candidate, the winner's marked ->, what is left out x."
)
@click.pass_obj
def command(context: Context, domain: str | None, shadowed: bool) -> None:
    """List the parts there are, and which candidate wins each.

    Decided anew from the settings, the plugins, and what operators have pinned, in this process; no other process is
    asked.
    """
    from .operating.stored import pinned

    with context.assembled() as runtime:
        pins = pinned(context, runtime)
        only = None if domain is None else domain_of(runtime, domain)
        snapshot = runtime.snapshot
        keys = [key for key in tuple(snapshot.keys()) if only in {None, key.domain}]
        parts = [
            decided(snapshot.decide(Request(key))) | {"pinned": pins[key].provider if key in pins else None}
            for key in keys
        ]

    def human(_: object) -> str:
        if not parts:
            return "no candidates are registered" + ("" if only is None else f" in domain {only}")
        if shadowed:
            rows = [
                [
                    MARKS[r["standing"]],
                    p["domain"],
                    p["key"],
                    r["provider"],
                    r["source"],
                    said(r),
                    r["summary"],
                ]
                for p in parts
                for r in p["candidates"]
            ]
            return context.table(["", "DOMAIN", "KEY", "PROVIDER", "PLUGIN", "WHY", "SUMMARY"], rows)
        return context.table(
            ["DOMAIN", "KEY", "PROVIDER", "PLUGIN", "WHY", "OTHERS"], [_line(part) for part in parts]
        )

    context.show({"keys": parts}, "oneiric/list/1", human, page=True)


def _line(part: dict[str, Any]) -> list[str]:
    rows = part["candidates"]
    won = next((row for row in rows if row["standing"] == "selected"), None)
    others = ", ".join(row["provider"] for row in rows if row is not won)
    if won is None:
        why = (part["error"] or "nobody fills it").splitlines()[0]
        return [part["domain"], part["key"], "(none)", "", why, others]
    return [part["domain"], part["key"], won["provider"], won["source"], part["because"], others]
