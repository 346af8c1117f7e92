"""``[health]`` and ``[restart]``: how parts are watched, and what is done where one fails."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import attrs
from oneiric_hookspecs import RestartPolicy

from .rules import at_least, seconds

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@attrs.frozen
class Group:
    """``[health.groups.NAME]``: parts whose health is asked for together.

    Args:
        include: Texts of keys, with ``*`` for anything: ``["adapter:*"]``.
        exclude: Those that are not, although they are included.
    """

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class HealthSection:
    """``[health]``: how what is bound is asked for its health again and again.

    How often is ``[lifecycle] probe_interval``, of all keys or one.

    Args:
        timeout: Seconds that an answer may take.
        failure: How many bad answers in a row make it unwell.
        success: How many good ones make it well again.
        flapping_changes: More changes than this within *flapping_window* are flapping.
        flapping_window: Seconds.
        flapping_quiet: Seconds without a change after which it does not flap any more.
        informational: Parts that are shown, and count for nothing: texts of keys, with ``*`` for anything.
        groups: Named sets of parts, beside ``live``, ``ready`` and ``all``.
    """

    timeout: float = attrs.field(default=1.0, validator=seconds())
    failure: int = attrs.field(default=3, validator=at_least(1))
    success: int = attrs.field(default=1, validator=at_least(1))
    flapping_changes: int = attrs.field(default=6, validator=at_least(1))
    flapping_window: float = attrs.field(default=600.0, validator=seconds())
    flapping_quiet: float = attrs.field(default=300.0, validator=seconds())
    informational: tuple[str, ...] = ()
    groups: Mapping[str, Group] = _NOTHING


def _backoff(_: object, __: attrs.Attribute[Any], value: tuple[float, float, float]) -> None:
    first, factor, most = value
    if not (first > 0 and factor >= 1 and most >= first):
        raise ValueError(
            f"expected the first delay, a factor of 1 or more, and the longest delay, found {list(value)!r}"
        )


@attrs.frozen(kw_only=True)
class Restarting:
    """``[restart.keys."service:mail"]``, with ``[restart]`` for what is not written there; see ``RestartPolicy``.

    Args:
        mode: ``permanent``: whenever it ends.  ``transient``: where it failed.  ``never``: not at all.
        intensity: How many failures in *period* are still answered by a restart.
        period: Seconds.
        backoff: Seconds before the first restart, the factor by which it grows, and the most it grows to.
        jitter: ``full`` waits for any time between none and that; ``none`` for exactly that.
        reset_after: Seconds without a failure after which counting begins anew.
        on_exhausted: What to do after that: take the next candidate, give up, or go on, slowly.
        slow: Seconds between two tries of ``retry_slowly``.
    """

    mode: Literal["permanent", "transient", "never"] = "transient"
    intensity: int = attrs.field(default=3, validator=at_least(0))
    period: float = attrs.field(default=60.0, validator=seconds())
    backoff: tuple[float, float, float] = attrs.field(default=(0.5, 2.0, 30.0), validator=_backoff)
    jitter: Literal["full", "none"] = "full"
    reset_after: float = attrs.field(default=60.0, validator=seconds())
    on_exhausted: Literal["fallback", "fail", "retry_slowly"] = "retry_slowly"
    slow: float = attrs.field(default=300.0, validator=seconds())

    @property
    def policy(self) -> RestartPolicy:
        """The same, as plugins are given it."""
        return RestartPolicy(**{name: getattr(self, name) for name in attrs.fields_dict(RestartPolicy)})


@attrs.frozen(kw_only=True)
class RestartSection(Restarting):
    """``[restart]``: what is done about a part that fails by itself; of all keys, or one.

    Args:
        keys: Per key, by its text ``service:mail``.
    """

    keys: Mapping[str, Restarting] = _NOTHING
