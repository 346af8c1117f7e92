"""Checks: what one finds, how they are registered, and how all of them are run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal

import attrs

if TYPE_CHECKING:
    from .patient import Patient

Severity = Literal["fail", "warn"]

#: The id of what a check itself gets wrong.
BUG = "check-broken"


@attrs.frozen
class Trouble:
    """One thing that a check has found.

    Args:
        said: What is so, in a sentence without a full stop.
        where: The place: ``file:line``, a variable, a distribution; None where there is none.
        command: What mends it, to be pasted into a shell; None where no command does.
        edit: What mends it, in words; None where the command says it all.
        severity: Where it is not the check's.
    """

    said: str
    where: str | None = None
    command: str | None = None
    edit: str | None = None
    severity: Severity | None = None


@attrs.frozen
class Check:
    """One kind of trouble that is looked for.

    Args:
        id: Its name, which stays the same.
        severity: Of what it finds: ``fail`` where something does not work, ``warn`` where somebody should look.
        mends: What mends it, for the reference.
        run: Looks, and gives what it found.
    """

    id: str
    severity: Severity
    mends: str
    run: Callable[[Patient], Iterable[Trouble]]

    @property
    def looks_for(self) -> str:
        """What it finds, in a sentence."""
        return (inspect.getdoc(self.run) or "").split("\n\n", maxsplit=1)[0].replace("\n", " ").rstrip(".")


@attrs.frozen
class Finding:
    """A trouble, and the check that found it."""

    id: str
    severity: Severity
    trouble: Trouble


#: All that are registered, in the order in which they are run.
CHECKS: list[Check] = []


def check(
    name: str, severity: Severity, *, mends: str
) -> Callable[[Callable[[Patient], Iterable[Trouble]]], Callable[[Patient], Iterable[Trouble]]]:
    """Register a function as a check; the first sentence of its docstring says what it finds."""

    def register(
        function: Callable[[Patient], Iterable[Trouble]],
    ) -> Callable[[Patient], Iterable[Trouble]]:
        CHECKS.append(Check(name, severity, mends, function))
        return function

    return register


def all_checks() -> list[Check]:
    """Every check, those that the others rest on first."""
    from importlib import import_module

    for name in ("settings", "plugins", "keys", "state", "installation", "environment"):
        import_module(f"{__package__}.{name}")
    return CHECKS


def examine(patient: Patient, checks: Iterable[Check]) -> list[Finding]:
    """What all *checks* find; one that raises is a finding, and the others go on."""
    found: list[Finding] = []
    for each in checks:
        try:
            # What it found before it went wrong is kept.
            found.extend(
                Finding(each.id, trouble.severity or each.severity, trouble) for trouble in each.run(patient)
            )
        except Exception as error:
            found.append(_bug(each, error))
    return found


def _bug(each: Check, error: Exception) -> Finding:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = None if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
    # Its text stays out: what a check has read may be a secret.
    said = f"the check {each.id} itself went wrong: {type(error).__name__}"
    return Finding(BUG, "fail", Trouble(said, where, edit="a bug of ours: please report it"))
