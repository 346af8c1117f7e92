"""``oneiric check``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .context import Context
from .errors import Told

if TYPE_CHECKING:
    from oneiric.testing.conformance.apart import Findings
    from oneiric.testing.conformance.outcome import Broken, Outcome

UNHEALTHY = 6


@click.command("check")
@click.argument("kits", nargs=-1, required=True, metavar="FOLDER|MODULE|DISTRIBUTION...")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="How long each kit may take.",
)
@click.pass_obj
def command(context: Context, kits: tuple[str, ...], timeout: float) -> None:
    """Say whether a kit keeps what every kit promises.

    Each is looked at in a process of its own.  With -c FILE, its candidates get the settings written there.
    """
    from oneiric.testing.conformance.apart import check
    from oneiric.testing.conformance.finding import find

    settings = _settings(context)
    here = Path.cwd()
    targets = [target for kit in kits for target in find(kit, here)]
    found = [check(target, here, settings, timeout) for target in targets]
    context.show(
        {"kits": [_plain(each) for each in found]}, "oneiric/check/1", lambda _: _said(context, found)
    )
    if any(each.count()["broken"] for each in found):
        raise Told(UNHEALTHY)


def _settings(context: Context) -> dict[str, Any]:
    """Those of the files that were named; the nearest one is an application's, and says nothing about a kit."""
    files = context.options.config
    if not files:
        return {}
    import tomllib

    from oneiric.settings import load
    from oneiric.settings.layers import merged

    load(files)  # says what is wrong with them, better than whoever reads them next
    settings: dict[str, Any] = {}
    for file in files:
        settings = dict(merged(settings, tomllib.loads(Path(file).read_text(encoding="utf-8"))))
    return settings


def _plain(findings: Findings) -> dict[str, Any]:
    import attrs

    outcomes = [attrs.asdict(each) for each in findings.outcomes]
    return {
        "kit": findings.kit,
        "distribution": findings.distribution,
        **findings.count(),
        "outcomes": outcomes,
    }


def _said(context: Context, found: list[Findings]) -> str:
    lines: list[str] = []
    for findings in found:
        count = findings.count()
        more = [
            f"{count[word]} {word}" for word in ("kept", "broken", "skipped") if count[word] or word == "kept"
        ]
        lines.append(f"{findings.kit}: {count['rules']} rules, {', '.join(more)}")
        for outcome in findings.outcomes:
            lines += [line for each in outcome.broken for line in _broken(context, outcome, each)]
            if outcome.outcome == "skipped" and context.options.verbosity > 0:
                lines.append(f"  {outcome.rule}: {outcome.reason}")
    return "\n".join(lines)


def _broken(context: Context, outcome: Outcome, broken: Broken) -> list[str]:
    from oneiric.testing.conformance.places import nearer

    place = nearer(broken.where)
    rule = click.style(outcome.rule, fg="red") if context.color else outcome.rule
    first = f"{place}: {rule}: {broken.what}" if place else f"{rule}: {broken.what}"
    return [first, f"  {broken.hint}"] if broken.hint else [first]
