"""Validators that say their rule in the words of a JSON schema, too."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs


class Rule:
    """A validator that says its rule in the words of a JSON schema, too."""

    def __init__(self, check: Callable[[Any], object], **keywords: Any) -> None:
        self._check, self.keywords = check, keywords

    def __call__(self, _: object, __: attrs.Attribute[Any], value: Any) -> None:
        self._check(value)


def seconds(*, zero: bool = False) -> Any:
    """A finite number of seconds, above 0 unless *zero*."""

    def check(value: Any) -> None:
        right = value.__class__ in (int, float) and math.isfinite(value)
        if not right or value < 0 or (value == 0 and not zero):
            least = "0 seconds or more" if zero else "a finite number of seconds above 0"
            raise ValueError(f"expected {least}, found {value!r}")

    return Rule(check, **{"minimum" if zero else "exclusiveMinimum": 0})


def at_least(least: int) -> Any:
    """A whole number, *least* or more."""

    def check(value: Any) -> None:
        if value.__class__ is not int or value < least:
            raise ValueError(f"expected a whole number, {least} or more, found {value!r}")

    return Rule(check, minimum=least)
