"""``action:automation.trigger``: which rules hold of data, and what is to be done then.

It says what is to be done, and does not do it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
from attrs.validators import ge, le
from oneiric_hookspecs import Action, ActionError, hookimpl

from oneiric.plugins._filters import Condition, all_of
from oneiric.plugins._requests import setting_path, unfit
from oneiric.plugins._walk import MAX_DEPTH, Unwalkable, measure

KEY = "automation.trigger"


@attrs.frozen(eq=False, repr=False)
class Rule:
    """What is to be done when.

    Args:
        name: What it is called.
        when: Conditions, all of which have to hold; none always do.
        then: What is to be done: plain data, given back where the rule holds.
        stop: Whether no later rule is looked at where it holds.
    """

    name: str
    when: tuple[Condition, ...] = ()
    then: Any = None
    stop: bool = False


@attrs.frozen(eq=False, repr=False)
class Settings:
    """The rules.

    Args:
        rules: In the order in which they are looked at.
        allow_inline_rules: Whether a request may bring others; None is only where there are none here.
        stop_on_match: Whether the first rule that holds is the last that is looked at, where a request does not say.
        max_rules: How many rules a request may bring.
        max_conditions: How many conditions they may have, all together.
        max_depth: How many tables and lists may stand in one another in the data.
        max_values: How many values there may be in them.
    """

    rules: tuple[Rule, ...] = ()
    allow_inline_rules: bool | None = None
    stop_on_match: bool = False
    max_rules: int = attrs.field(default=100, validator=[ge(1), le(10_000)])
    max_conditions: int = attrs.field(default=500, validator=[ge(1), le(100_000)])
    max_depth: int = attrs.field(default=64, validator=[ge(1), le(MAX_DEPTH)])
    max_values: int = attrs.field(default=100_000, validator=ge(1))


@attrs.frozen(eq=False, repr=False)
class Request:
    """What the rules are held against.

    Args:
        data: Plain data.
        rules: Instead of the settings' own, where they allow it.
        stop_on_match: Whether the first rule that holds is the last; None is as the settings say.
    """

    data: Any
    rules: tuple[Rule, ...] | None = None
    stop_on_match: bool | None = None


@attrs.frozen(eq=False, repr=False)
class Result:
    """What is to be done.

    Args:
        matched: Of each rule that holds, ``rule``, its name, and ``then``, what is to be done.
        stopped: Whether rules were left that were not looked at.
    """

    matched: tuple[dict[str, Any], ...]
    stopped: bool


def run(request: Request, settings: Settings) -> Result:
    """Hold them against it.  Raises: ActionError."""
    rules = _rules(request, settings)
    try:
        measure(request.data, depth=settings.max_depth, values=settings.max_values, at="data")
    except Unwalkable as error:
        raise unfit(KEY, error.path, str(error)) from None
    stop = settings.stop_on_match if request.stop_on_match is None else request.stop_on_match
    matched: list[dict[str, Any]] = []
    for place, rule in enumerate(rules, 1):
        if all_of(rule.when)(request.data):
            matched.append({"rule": rule.name, "then": rule.then})
            if stop or rule.stop:
                return Result(tuple(matched), stopped=place < len(rules))
    return Result(tuple(matched), stopped=False)


def _rules(request: Request, settings: Settings) -> tuple[Rule, ...]:
    if request.rules is None:
        if not settings.rules:
            raise ActionError(f"{KEY}: there are no rules", setting=setting_path(KEY, "rules"))
        return settings.rules
    allow = settings.allow_inline_rules
    if not (not settings.rules if allow is None else allow):
        raise unfit(
            KEY, "rules", "come from the settings, not from the request", setting="allow_inline_rules"
        )
    if (count := len(request.rules)) > settings.max_rules:
        message = f"are {count:,}, and {settings.max_rules:,} are allowed"
        raise unfit(KEY, "rules", message, setting="max_rules")
    if (count := sum(len(rule.when) for rule in request.rules)) > settings.max_conditions:
        message = f"have {count:,} conditions, and {settings.max_conditions:,} are allowed"
        raise unfit(KEY, "rules", message, setting="max_conditions")
    return request.rules


@hookimpl
def oneiric_actions() -> Iterable[Action]:
    yield Action(
        KEY,
        "Tell which rules hold, and what is to be done",
        takes=Request,
        returns=Result,
        settings=Settings,
        run=run,
        idempotent=True,
    )
