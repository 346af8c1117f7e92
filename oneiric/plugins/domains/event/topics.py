"""Which handlers an event's topic matches; worked out once for each topic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
from oneiric_hookspecs import Subscription

#: How many topics are remembered with their handlers; then all are forgotten.
_REMEMBERED = 10_000


@attrs.frozen
class Subscriber:
    """A handler as an event sees it.

    Args:
        name: Its key's name.
        subscription: What it wants to know.
        wants: Whether its filters hold of a payload; None where it has none.
    """

    name: str
    subscription: Subscription
    wants: Callable[[Any], bool] | None = attrs.field(eq=False)


class Index:
    """All subscribers, in the order in which they are told."""

    def __init__(self, subscribers: Iterable[Subscriber]) -> None:
        self.subscribers = sorted(subscribers, key=lambda each: (-each.subscription.priority, each.name))
        self._remembered: dict[str, tuple[Subscriber, ...]] = {}

    def of_topic(self, topic: str) -> tuple[Subscriber, ...]:
        """Those whose patterns match *topic*."""
        found = self._remembered.get(topic)
        if found is None:
            found = tuple(
                each for each in self.subscribers if any(matches(p, topic) for p in each.subscription.topics)
            )
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[topic] = found
        return found

    def by_name(self) -> Mapping[str, Subscriber]:
        """All of them."""
        return {each.name: each for each in self.subscribers}


def told(subscribers: Iterable[Subscriber], payload: Any) -> list[Subscriber]:
    """Of those whose topic matches, who is told: filters hold, and of the exclusive ones only the first."""
    chosen = []
    taken = False
    for each in subscribers:
        if each.wants is not None and not each.wants(payload):
            continue
        if each.subscription.fanout == "exclusive":
            if taken:
                continue
            taken = True
        chosen.append(each)
    return chosen


def matches(pattern: str, topic: str) -> bool:
    """Whether *pattern* describes *topic*: ``*`` stands for one segment, ``**`` for any number, none too."""
    if "*" not in pattern:
        return pattern == topic
    wanted = pattern.split(".")
    # Where in the pattern one can be; so the time grows with the product of the lengths, and not faster.
    places = _without_deep(wanted, {0})
    for segment in topic.split("."):
        places = _without_deep(
            wanted,
            {
                place if wanted[place] == "**" else place + 1
                for place in places
                if place < len(wanted) and wanted[place] in ("*", "**", segment)
            },
        )
    return len(wanted) in places


def _without_deep(wanted: list[str], places: set[int]) -> set[int]:
    """*places*, and those behind each ``**`` that stands for nothing."""
    more = set(places)
    for place in sorted(places):
        while place < len(wanted) and wanted[place] == "**":
            place += 1
            more.add(place)
    return more
