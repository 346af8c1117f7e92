"""``oneiric doctor``: what is wrong, and what mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from oneiric.cli.context import Context
from oneiric.cli.output import plain, width

if TYPE_CHECKING:
    from .checking import Finding

UNHEALTHY = 6


@click.command("doctor")
@click.option(
    "--timeout",
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    help="For loading all plugins: one that takes longer is taken for one that hangs.",
)
@click.pass_context
def command(ctx: click.Context, timeout: float) -> None:
    """Say what is wrong, and the command that mends it.

    Looks at the settings, the plugins, what fills each key, the state and the installation.  Nothing is changed.
    Plugins are loaded in a process of their own first, so that one that ends or hangs its process is named, and the
    rest can be looked at.  Exits with 0 if all is well or there are only warnings, with 6 on a failure.
    """
    context: Context = ctx.obj

    from .checking import all_checks, examine
    from .patient import Patient

    context.log()
    checks = all_checks()
    with context.quiet():
        patient = Patient(context, timeout)
        try:
            found = examine(patient, checks)
        finally:
            patient.close()
    masked = patient.runtime.secrets.masked
    findings = [_plain(each, masked) for each in found]
    troubled = {each["id"] for each in findings}
    fine = [each.id for each in checks if each.id not in troubled]
    worst = "fail" if any(each["severity"] == "fail" for each in findings) else "warn" if findings else "ok"
    answer = {"verdict": worst, "findings": findings, "ok": fine}
    context.show(answer, "oneiric/doctor/1", lambda _: _told(context, answer), page=True)
    if worst == "fail":
        ctx.exit(UNHEALTHY)


def _plain(each: Finding, masked: Any) -> dict[str, Any]:
    trouble = each.trouble
    texts = {
        "said": trouble.said,
        "where": trouble.where,
        "command": trouble.command,
        "edit": trouble.edit,
    }
    return {
        "id": each.id,
        "severity": each.severity,
        **{name: None if text is None else masked(text) for name, text in texts.items()},
    }


def _told(context: Context, answer: dict[str, Any]) -> str:
    lines: list[str] = []
    for each in sorted(answer["findings"], key=lambda one: one["severity"] != "fail"):
        lines.append(f"{context.paint(each['severity'])}  {each['id']}")
        lines += _wrapped(each["said"])
        lines += [f"      at {plain(each['where'])}"] if each["where"] else []
        # A command is shown whole, to be pasted, however long it is.
        lines += [f"      $ {plain(each['command'])}"] if each["command"] else []
        lines += _wrapped(each["edit"], "-> ") if each["edit"] else []
    fine = len(answer["ok"])
    others = "other checks" if answer["findings"] else "checks"
    if context.options.verbosity > 0:
        lines += [f"{context.paint('ok')}    {each}" for each in answer["ok"]]
    else:
        lines.append(f"{context.paint('ok')}    {fine} {others}")
    return "\n".join(lines)


def _wrapped(text: str, before: str = "") -> list[str]:
    import textwrap

    indent = " " * 6
    return textwrap.wrap(
        before + plain(text),
        width(),
        initial_indent=indent,
        subsequent_indent=indent + " " * len(before),
        break_on_hyphens=False,
        break_long_words=False,
    )
