"""From parts to groups: how each is with what it needs, and how all of them are together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

import attrs
from oneiric_hookspecs import Health, HealthSummary, Key, ResolutionError, a_few, nearest
from oneiric_hookspecs.health import STATUSES

from oneiric.activation import Slot
from oneiric.settings.supervised import Group, HealthSection

#: Those that are there whatever the settings say.
GROUPS = ("live", "ready", "all")
_RANK = STATUSES.index


def matches(key: Key, patterns: Iterable[str]) -> bool:
    """Whether the text of *key* fits one of *patterns*."""
    text = str(key)
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def group_of(name: str, section: HealthSection) -> Group:
    """What is in the group of that name.

    Raises:
        ResolutionError: There is no such group.
    """
    found = section.groups.get(name)
    if found is not None:
        return found
    if name in GROUPS:
        return Group()
    known = (*GROUPS, *section.groups)
    near = nearest(name, known)
    raise ResolutionError(
        f"there is no group {name!r} of parts",
        hint=f"did you mean {near}?" if near else f"there are: {a_few(known)}",
    )


class Effective:
    """How parts are with what they need; made for one look, so that each is worked out once.

    Args:
        slot_of: The slot of a key; None where there is none.
        own: How a key is by itself; None where it is neither bound nor to be up.
    """

    def __init__(self, slot_of: Callable[[Key], Slot | None], own: Callable[[Key], Health | None]) -> None:
        self._slot_of, self._own = slot_of, own
        self._known: dict[Key, Health | None] = {}

    def of(self, key: Key) -> Health | None:
        """The worst of its own and of what it requires; what it could do without makes it ``degraded`` at most."""
        if key in self._known:
            return self._known[key]
        own = self._known[key] = self._own(key)  # a circle ends here
        slot = self._slot_of(key)
        bound = None if slot is None else slot.bound
        if own is None or bound is None:
            return own
        worst = own
        for met in bound.needs:
            need = met.need
            other = self.of(need.key)
            if other is None or other.status == "ok":
                continue
            status = "degraded" if need.optional else other.status
            if _RANK(status) > _RANK(worst.status):
                why = f" ({other.reason})" if other.reason else ""
                worst = attrs.evolve(
                    own, status=status, reason=f"it uses {need.key}, which is {other.status}{why}"
                )
        self._known[key] = worst
        return worst


def summed_up(
    members: Iterable[tuple[Key, Health]],
    group: Group,
    critical: Callable[[Key], bool],
    informational: Iterable[str],
) -> HealthSummary:
    """How those of *members* that are in *group* are together."""
    informational = tuple(informational)
    found: dict[Key, Health] = {}
    wrong: list[tuple[int, Key, str]] = []
    worst = 0
    for key, health in members:
        if not matches(key, group.include) or matches(key, group.exclude):
            continue
        found[key] = health
        if health.status == "ok" or matches(key, informational):
            continue
        rank = _RANK(health.status) if critical(key) else _RANK("degraded")
        worst = max(worst, rank)
        wrong.append(
            (-rank, key, f"{key} is {health.status}" + (f": {health.reason}" if health.reason else ""))
        )
    return HealthSummary(STATUSES[worst], found, tuple(text for *_, text in sorted(wrong)))
