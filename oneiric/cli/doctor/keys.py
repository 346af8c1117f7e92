"""Checks of what is resolved: keys that nobody fills, and winners that only the order of registration made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from oneiric.cli.pasteable import pasteable

from .checking import Trouble, check
from .patient import Patient

if TYPE_CHECKING:
    from oneiric_hookspecs import Decision


@check(
    "key-unfilled", "fail", mends="what would lift it, such as `pip install X`; `oneiric explain DOMAIN KEY`"
)
def key_unfilled(patient: Patient) -> Iterator[Trouble]:
    """A key has candidates, and none of them can win: all are left out, or another one is selected."""
    for decision in patient.decisions:
        if decision.winner is not None:
            continue
        key = decision.request.key
        first, *more = (
            str(decision.error) if decision.error is not None else f"nobody fills {key}"
        ).splitlines()
        remedies = [row.would_win_if for row in decision.rows if row.would_win_if]
        installs = [each.removesuffix(" installed") for each in remedies if each.endswith(" installed")]
        command = f"pip install '{installs[0]}'" if installs and " " not in installs[0] else None
        yield Trouble(
            " ".join([first, *(line.strip() for line in more if line.strip().startswith("left out"))]),
            _where(patient, decision),
            command or pasteable(patient.context, "explain", key.domain, key.name),
            None if command else " ".join(line.strip() for line in more) or None,
        )


@check("key-tied", "warn", mends='a selection: `NAME = "PROVIDER"` in `[PLURAL.selections]`; or a priority')
def key_tied(patient: Patient) -> Iterator[Trouble]:
    """Nothing but the order of registration says who wins a key: another plugin, or another name, may change that."""
    for decision in patient.decisions:
        rows = [row for row in decision.rows if row.standing != "excluded"]
        if decision.winner is None or len(rows) < 2 or rows[1].tier != "registration order":
            continue
        won, other = rows[0], rows[1]
        if (won.source, won.candidate.provider) == (other.source, other.candidate.provider):
            continue  # versions of one provider have an order
        if won.source.kind == other.source.kind == "builtin" or won.tier == "selection":
            continue
        key = decision.request.key
        plural = patient.runtime.snapshot.domains[key.domain].plural
        name = key.name if "." not in key.name else f'"{key.name}"'
        yield Trouble(
            f"{key} goes to {won.candidate.provider} of {won.source.name} only because "
            f"{other.candidate.provider} of {other.source.name} was registered before it",
            edit=f'write {name} = "{won.candidate.provider}" into [{plural}.selections], or give one a priority',
        )


def _where(patient: Patient, decision: Decision) -> str | None:
    """Where the settings select for that key."""
    key = decision.request.key
    plural = patient.runtime.snapshot.domains[key.domain].plural
    settings = patient.runtime.settings
    return settings.where(plural, "selections", key.name) if key in settings.selections() else None
