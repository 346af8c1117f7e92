"""Which handlers an event's topic matches; worked out once for each topic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
from oneiric_hookspecs import Subscription

from oneiric.plugins._topics import matches

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
        self._choosy = any(
            each.wants is not None or each.subscription.fanout == "exclusive" for each in self.subscribers
        )

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

    def told(self, topic: str, payload: Any) -> Sequence[Subscriber]:
        """Those of them who are told of *payload*."""
        found = self.of_topic(topic)
        return told(found, payload) if self._choosy else found

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
