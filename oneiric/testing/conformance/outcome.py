"""What a rule says about a kit: nothing, what is broken, or why it cannot be told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import attrs


@attrs.frozen
class Broken:
    """One way in which a kit breaks a rule.

    Args:
        what: In a sentence.
        where: ``file:line`` in the kit; None where nobody knows.
        hint: What to do.
    """

    what: str
    where: str | None = None
    hint: str = ""

    def __str__(self) -> str:
        first = f"{self.where}: {self.what}" if self.where else self.what
        return f"{first}\n  {self.hint}" if self.hint else first


class Skip(Exception):
    """Raised by a rule that cannot be held against this kit, with the reason, and what would make it possible."""


@attrs.frozen
class Rule:
    """One promise, and how it is checked.

    Args:
        name: Of its test, ``test_NAME``, and in what the command says.
        check: ``check(kit)``, or ``check(kit, candidate)``; its docstring begins with the promise.
        each: What it is checked for: the kit as a whole, or each of its candidates.
    """

    name: str
    check: Callable[..., Iterable[Broken]]
    each: Literal["kit", "candidate"] = "kit"

    @property
    def promise(self) -> str:
        """The promise, in a sentence."""
        doc = (self.check.__doc__ or "").strip().split("\n\n", 1)[0]
        return " ".join(doc.split())


@attrs.frozen
class Outcome:
    """What came of one rule, for the kit or one candidate.

    Args:
        rule: Its name.
        promise: In a sentence.
        subject: The candidate, as ``adapter:cache redis``; empty where it is the kit.
        outcome: Whether it is ``kept``, ``broken`` or ``skipped``.
        broken: In which ways.
        reason: Why it was skipped.
    """

    rule: str
    promise: str
    subject: str
    outcome: Literal["kept", "broken", "skipped"]
    broken: tuple[Broken, ...] = ()
    reason: str = ""


def held(rule: Rule, kit: Any, candidate: Any = None) -> Outcome:
    """Hold *rule* against *kit*, or one candidate of it; a rule that fails itself is broken, too."""
    subject = "" if candidate is None else f"{candidate.key} {candidate.provider}"
    try:
        broken = tuple(rule.check(kit) if candidate is None else rule.check(kit, candidate))
    except Skip as skip:
        return Outcome(rule.name, rule.promise, subject, "skipped", reason=str(skip))
    except Exception as error:
        said = " ".join(str(error).split())[:300]
        broken = (Broken(f"{type(error).__name__}: {said}", raised_in(kit, error) or kit.where),)
    return Outcome(rule.name, rule.promise, subject, "broken" if broken else "kept", broken)


def raised_in(kit: Any, error: BaseException | None) -> str | None:
    """The last line of the kit's own code on the way to *error*, or to what caused it."""
    seen: set[int] = set()
    found = None
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        trace = error.__traceback__
        while trace is not None:
            if kit.owns(trace.tb_frame.f_code.co_filename):
                found = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
            trace = trace.tb_next
        error = error.__cause__ or error.__context__
    return found
