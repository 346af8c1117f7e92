"""``oneiric explain``."""

from __future__ import annotations

from typing import Any

import click

from .context import Context
from .naming import MARKS, NoSuch, decided, domain_of, said


@click.command("explain")
@click.argument("domain", required=False)
@click.argument("key", required=False)
@click.option(
    "--why-not",
    metavar="PROVIDER",
    help="Only about this candidate: why it does not win, and what would help.",
)
@click.option("--provider", metavar="PROVIDER", help="As if this provider had been asked for.")
@click.option("--hook", metavar="NAME", help="Who implements this hook, in which order, and why there.")
@click.pass_obj
def command(
    context: Context,
    domain: str | None,
    key: str | None,
    why_not: str | None,
    provider: str | None,
    hook: str | None,
) -> None:
    """Say which candidate fills a part, why, and why not the others.

    DOMAIN may be its singular or plural, and DOMAIN:KEY is understood, too.  The winner is marked ->, what is left
    out x.
    """
    if domain is not None and key is None and ":" in domain:
        domain, _, key = domain.partition(":")
    if hook is not None and domain is None:
        from .hooks import show_hooks

        show_hooks(context, hook)
        return
    if hook is not None:
        raise click.UsageError("--hook is about a hook, and takes no DOMAIN and KEY")
    if domain is None or key is None:
        missing = "DOMAIN and KEY" if domain is None else "KEY"
        raise click.UsageError(f"say {missing}, as in: oneiric explain adapter cache")
    from .operating.stored import pin_facts, pinned

    with context.assembled() as runtime:
        pins = pinned(context, runtime)
        found = runtime.explain(domain_of(runtime, domain), key, provider=provider)
        if found.error is not None and (not found.rows or _absent(provider, found.rows)):
            raise found.error
        decision = decided(found)
        of = found.request.key
        decision["pin"] = pin_facts(runtime, of, pins.get(of))
    rows = decision["candidates"]
    if why_not is not None:
        one = next((row for row in rows if row["provider"] == why_not), None)
        if one is None:
            raise NoSuch(
                f"candidate of {decision['domain']}:{decision['key']} by",
                why_not,
                {r["provider"] for r in rows},
            )
        rows = decision["candidates"] = [one]
    decision["asked_for"] = provider
    human = (
        (lambda _: _why_not(decision, rows[0]))
        if why_not is not None
        else (lambda _: _whole(context, decision))
    )
    context.show(decision, "oneiric/explain/1", human, page=True)


def _absent(provider: str | None, rows: Any) -> bool:
    return provider is not None and all(row.candidate.provider != provider for row in rows)


def _whole(context: Context, decision: dict[str, Any]) -> str:
    key = f"{decision['domain']}:{decision['key']}"
    if decision["pin"] is not None:
        from .operating.stored import sentence

        pin = f"\n{sentence(decision['pin'])}"
    else:
        pin = ""
    if decision["winner"] is not None:
        first = f"{key} is filled by {decision['winner']}: {decision['because']}"
    else:
        first = f"nobody fills {key}: " + (decision["error"] or "")
    body = context.table(
        ["", "PROVIDER", "VERSION", "PLUGIN", "WHY", "WOULD WIN IF"],
        [
            [
                MARKS[r["standing"]],
                r["provider"],
                r["version"] or "",
                r["source"],
                said(r),
                r["would_win_if"] or "",
            ]
            for r in decision["candidates"]
        ],
        whole=True,
    )
    faults = "".join(f"\npassed over: {fault}" for fault in decision["faults"])
    return f"{first}{pin}\n\n{body}{faults}"


def _why_not(decision: dict[str, Any], row: dict[str, Any]) -> str:
    key = f"{decision['domain']}:{decision['key']}"
    if row["standing"] == "selected":
        return f"{row['provider']} does win {key}: {decision['because']}"
    remedy = f"\n  it would win if: {row['would_win_if']}" if row["would_win_if"] else ""
    return f"{row['provider']} does not win {key}: {said(row)}{remedy}"
