"""``action:workflow.retry``: how long to wait before the next attempt, and whether there is one."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable

import attrs
from attrs.validators import ge, le, optional
from oneiric_hookspecs import Action, hookimpl

KEY = "workflow.retry"


def _finite(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not math.isfinite(value):
        raise ValueError(f"{attribute.name} is finite, found {value}")


def _wait(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"{attribute.name} is a number of seconds, found {value}")


@attrs.frozen(eq=False, repr=False)
class Settings:
    """The waits: ``base * factor ** (attempt - 1)`` seconds, shaken by the jitter, and then at most ``cap``.

    Args:
        attempts: How many there are, the first counted.
        base: Seconds to wait after the first; 0 is no wait at all.
        factor: How many times longer each wait is than the one before; 1 or more.
        cap: Seconds that no wait is longer than, shaken or not.
        jitter: By which part of itself a wait is shaken, up or down: 0 is not at all, 1 anything up to twice as long.
    """

    attempts: int = attrs.field(default=5, validator=[ge(1), le(2**63 - 1)])
    base: float = attrs.field(default=0.5, validator=[ge(0), _finite])
    factor: float = attrs.field(default=2.0, validator=[ge(1), _finite])
    cap: float = attrs.field(default=60.0, validator=[ge(0), _finite])
    jitter: float = attrs.field(default=0.1, validator=[ge(0), le(1)])


@attrs.frozen(eq=False, repr=False)
class Request:
    """What has failed.

    Args:
        attempt: Which attempt it was; the first is 1.
        attempts: How many there are; None for the settings' own, and not more than those.
        retry_after: Seconds that the other side asked for; the wait is not shorter, ``cap`` or not.
        seed: Equal seeds give equal waits; None is a new one each time.
    """

    attempt: int = attrs.field(validator=ge(1))
    attempts: int | None = attrs.field(default=None, validator=optional(ge(1)))
    retry_after: float | None = attrs.field(default=None, validator=optional(_wait))
    seed: int | str | None = None


@attrs.frozen(eq=False, repr=False)
class Result:
    """What to do.

    Args:
        retry: Whether there is another attempt.
        delay: Seconds to wait before it; 0 where there is none.
        left: How many attempts are left.
    """

    retry: bool
    delay: float
    left: int


async def run(request: Request, settings: Settings) -> Result:
    """Say how long to wait.  It never fails."""
    attempts = min(settings.attempts, request.attempts or settings.attempts)
    left = max(0, attempts - request.attempt)
    if not left:
        return Result(False, 0.0, 0)
    return Result(True, max(_delay(request, settings), request.retry_after or 0.0), left)


def _delay(request: Request, settings: Settings) -> float:
    try:
        delay = settings.base * math.pow(settings.factor, request.attempt - 1)
    except OverflowError:
        delay = math.inf if settings.base else 0.0
    delay = min(
        delay, sys.float_info.max
    )  # an endless wait that is shaken by all of itself would be no number
    if settings.jitter:
        from random import Random

        chance = Random() if request.seed is None else Random(_seed(request.seed, request.attempt))
        delay *= 1 + settings.jitter * chance.uniform(-1, 1)
    return min(delay, settings.cap)


def _seed(seed: int | str, attempt: int) -> int | bytes:
    if isinstance(seed, int):
        return (seed << 64) + attempt
    return seed.encode("utf-8", "surrogatepass") + b":%d" % attempt


@hookimpl
def oneiric_actions() -> Iterable[Action]:
    yield Action(
        KEY,
        "Say how long to wait before the next attempt",
        takes=Request,
        returns=Result,
        settings=Settings,
        run=run,
        idempotent=True,
    )
