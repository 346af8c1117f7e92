"""Trying again, and ceasing to try: values that settings hold and the kernel applies."""

from __future__ import annotations

import math
import random
import re
from typing import Any

import attrs

from .errors import PluginError

_ERROR = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


def _check(what: str, value: float, *, zero: bool = False) -> None:
    right = value.__class__ in (int, float) and math.isfinite(value)
    if not right or value < 0 or (value == 0 and not zero):
        raise PluginError(
            f"{what} is a finite number{', 0 or more' if zero else ' above 0'}, found {value!r}"
        )


def _check_count(what: str, value: int) -> None:
    if value.__class__ is not int or value < 1:
        raise PluginError(f"{what} is a whole number, 1 or more, found {value!r}")


@attrs.frozen
class Retry:
    """How often something that failed is tried again, and when.

    The delay before the second attempt is ``backoff``, and grows by ``factor`` from attempt to attempt up to
    ``max_backoff``; of each delay the share ``jitter`` is drawn at random, so that many who failed together do not
    come back together.

    Args:
        attempts: How many in all, the first one counted.
        backoff: Seconds before the second.
        factor: By how much the delay grows.
        max_backoff: Seconds; no delay is longer, with its jitter too.
        jitter: The share of a delay that is random, 0 to 1.
        on: Names of the exceptions that are worth another attempt, with or without their module, of base classes
            too: ``TimeoutError``, ``httpx.TransportError``.
    """

    attempts: int = 3
    backoff: float = 0.1
    factor: float = 2.0
    max_backoff: float = 30.0
    jitter: float = 0.5
    on: tuple[str, ...] = ("Exception",)

    def __attrs_post_init__(self) -> None:
        _check_count("attempts", self.attempts)
        _check("backoff", self.backoff, zero=True)
        _check("factor", self.factor)
        _check("max_backoff", self.max_backoff, zero=True)
        if self.jitter.__class__ not in (int, float) or not 0 <= self.jitter <= 1:
            raise PluginError(f"jitter is a share from 0 to 1, found {self.jitter!r}")
        on: Any = self.on
        if isinstance(on, str):
            raise PluginError(f"on is a list of names of exceptions, found {on!r}")
        for name in on:
            if not isinstance(name, str) or _ERROR.fullmatch(name) is None:
                raise PluginError(f"on is a list of names of exceptions, found {name!r} in it")

    def delay(self, failed: int, draw: float | None = None) -> float:
        """Seconds to wait after so many failed attempts.

        Args:
            failed: 1 or more.
            draw: What decides the random share, from 0 to 1; None draws one.
        """
        try:
            whole = self.backoff * self.factor ** (failed - 1)
        except OverflowError:  # no float holds the power of so many attempts, and no delay is so long
            whole = self.max_backoff if self.backoff else 0.0
        part = random.random() if draw is None else draw
        return min(whole, self.max_backoff) * (1 - self.jitter * part)

    def covers(self, error: BaseException) -> bool:
        """Whether *error* is worth another attempt."""
        names = {
            name for cls in type(error).__mro__ for name in (cls.__name__, f"{cls.__module__}.{cls.__name__}")
        }
        return not names.isdisjoint(self.on)


@attrs.frozen
class Breaker:
    """When something that fails and fails is left alone for a while.

    After ``failures`` failures within ``window`` seconds it is not tried for ``reset`` seconds; then one attempt is
    let through, and what comes of it decides.

    Args:
        failures: How many.
        window: Seconds within which they count.
        reset: Seconds it is left alone.
    """

    failures: int = 5
    window: float = 60.0
    reset: float = 30.0

    def __attrs_post_init__(self) -> None:
        _check_count("failures", self.failures)
        _check("window", self.window)
        _check("reset", self.reset)
