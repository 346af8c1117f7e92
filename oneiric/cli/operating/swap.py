"""``oneiric swap``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from oneiric.cli.context import Context

from .desk import NOBODY, Desk, at_desk, options, timeout
from .parts import check_provider, part, seen_by, split

if TYPE_CHECKING:
    from oneiric_hookspecs import Key

    from oneiric.state import Answered, Seen

    from .choosing import Choice, Chosen
    from .waiting import Waited

#: Long enough for a factory and a start that take what they may by default.
SECONDS = 90.0
CHANGES = 10


@click.command("swap")
@click.argument("domain")
@click.argument("key", required=False)
@click.argument("provider", required=False)
@click.option("--dry-run", is_flag=True, help="Say what would change, and exit with 10 if anything would.")
@click.option(
    "--reload",
    "anew",
    is_flag=True,
    help="Build it anew although nothing has changed; without PROVIDER a pin stays.",
)
@click.option("--accept-unhealthy", is_flag=True, help="Bind it although its probes fail.")
@click.option("--override", is_flag=True, help="Pass a hold, a pause or a quarantine.")
@options("until", "note", "actor")
@timeout(SECONDS)
@click.pass_context
def command(
    ctx: click.Context,
    domain: str,
    key: str | None,
    provider: str | None,
    dry_run: bool,
    anew: bool,
    accept_unhealthy: bool,
    override: bool,
    until: float | None,
    note: str,
    actor: str | None,
    seconds: float,
) -> None:
    """Have another provider in every running process, and wait until it serves there.

    With PROVIDER, that one, and it stays chosen (pinned), over restarts, too.  Without, the pin is dropped, and whoever
    wins then takes its place.  Where a process cannot have it, all of them keep what they had, and it exits with 4.
    """
    from .choosing import Choice

    domain, (name, provider) = split(domain, key, provider)
    if name is None:
        raise click.UsageError("say KEY, as in: oneiric swap adapter cache disk")
    if provider is None and (until is not None or accept_unhealthy or override) and not anew:
        raise click.UsageError("--until, --accept-unhealthy and --override are about a PROVIDER: name one")
    context: Context = ctx.obj

    async def run(desk: Desk) -> int:
        living = await desk.living()
        of = await part(desk, domain, name, living)
        seen = await seen_by(desk, living, of)
        choice = Choice(
            key=of,
            provider=provider,
            note=note,
            until=until,
            accept_unhealthy=accept_unhealthy,
            override=override,
        )
        if provider is not None:
            check_provider(desk, of, provider, seen)
        if dry_run:
            return await _would(desk, choice, {each: seen.get(each) for each in living}, anew=anew)
        return await swap(desk, choice, seconds, anew=anew)

    if code := at_desk(context, run, actor=actor):
        ctx.exit(code)


async def swap(desk: Desk, choice: Choice, seconds: float, *, anew: bool = False) -> int:
    """Have *choice*; the exit code."""
    from .answering import answer, lines, plain
    from .asking import answers_json, asked, not_in_time, worst
    from .choosing import choose

    chosen: Chosen | None = None
    if choice.provider is not None or not anew:
        chosen = await choose(desk, choice, seconds)
        if choice.provider is None:
            rest = chosen.outcome == "nothing"  # no pin was in the way, and another one may win all the same
        else:
            as_before = any(seen.outcome == "unchanged" for seen in chosen.did.values())
            rest = anew and chosen.outcome == "done" and as_before
        if not rest:
            answer(desk.context, "swap", chosen)
            return 0
    living = await desk.living()
    waited: Waited[Answered] = await asked(
        desk,
        "reload",
        living,
        seconds,
        key=str(choice.key),
        arguments={
            "reload": anew,
            "accept_unhealthy": choice.accept_unhealthy,
            "override": choice.override,
        },
    )
    said = [] if chosen is None else lines(chosen)
    said += [_anew(choice.key, name, each, len(living) > 1) for name, each in sorted(waited.done.items())]
    said += not_in_time(waited)
    if not living:
        said.append(f"{NOBODY}: there is nothing to {'build anew' if anew else 'swap'}")
    facts: dict[str, Any] = (
        {"domain": choice.key.domain, "key": choice.key.name, "provider": choice.provider}
        if chosen is None
        else plain(chosen)
    )
    facts |= {"reloaded": answers_json(waited)}
    desk.context.show(facts, "oneiric/swap/1", lambda _: "\n".join(said))
    return worst(waited)


def _anew(key: Key, node: str, answered: Answered, several: bool) -> str:
    from .moments import took

    start = f"{node}: {key.name}: " if several else f"{key.name}: "
    result = answered.result if isinstance(answered.result, dict) else {}
    outcome, old, new = result.get("outcome"), result.get("old"), result.get("new")
    if not answered.ok:
        return start + answered.text
    if outcome == "not_bound":
        return f"{start}nothing is in use"
    if outcome == "unchanged":
        return f"{start}{new}, as before"
    ms = result.get("ms")
    took_ = f" in {took(ms)}" if isinstance(ms, (int, float)) else ""
    return f"{start}{new} built anew{took_}" if old == new else f"{start}{old} -> {new}{took_}"


async def _would(desk: Desk, choice: Choice, seen: dict[str, Seen | None], *, anew: bool) -> int:
    """Say what *choice* would change; touches nothing."""
    from .answering import pin_json

    key, before = choice.key, await desk.desired.pinned(choice.key)
    winner = desk.runtime.explain(*key).winner
    then = choice.provider or (None if winner is None else winner.provider)
    pinned = None if before is None else before.provider
    keeps = anew and choice.provider is None
    nodes = [_change(name, each, then, choice, anew=anew) for name, each in sorted(seen.items())]
    changes = (pinned != choice.provider and not keeps) or any(each["changes"] for each in nodes)
    said = [_said(key, each) for each in nodes if each["changes"]]
    if choice.provider is not None and pinned != choice.provider:
        said.append(f"would pin {key} to {then}" + ("" if pinned is None else f" instead of {pinned}"))
    elif choice.provider is None and pinned is not None and not keeps:
        said.append(f"would unpin {key} from {pinned}")
    if not seen and changes:
        said.append(f"{NOBODY}: it would count from the next start")
    facts: dict[str, Any] = {"domain": key.domain, "key": key.name, "provider": choice.provider}
    facts |= {"then": then, "changes": changes, "pin": pin_json(before), "nodes": nodes}
    text = "\n".join(said or [f"{key} would stay as it is"])
    desk.context.show(facts, "oneiric/swap-plan/1", lambda _: text)
    return CHANGES if changes else 0


def _change(node: str, seen: Seen | None, then: str | None, choice: Choice, *, anew: bool) -> dict[str, Any]:
    """What *choice* would change in one process."""
    now = None if seen is None else seen.provider
    mode = None if seen is None else seen.mode
    if now is None and choice.provider is None:
        then = None  # what is not in use is left so, unless somebody is chosen for it
    elif anew and choice.provider is None:
        then = now
    return {
        "node": node,
        "now": now,
        "then": then,
        "mode": mode,
        "changes": now != then or (anew and now is not None),
    }


def _said(key: Key, change: dict[str, Any]) -> str:
    imposed = "" if change["mode"] is None else f" ({change['mode']} is imposed on it: --override)"
    if change["now"] == change["then"]:
        return f"{change['node']}: would build {change['now']} anew{imposed}"
    return f"{change['node']}: would swap {key}: {change['now'] or '(nothing)'} -> {change['then']}{imposed}"
