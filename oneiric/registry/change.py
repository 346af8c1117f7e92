"""What one call changed."""

from __future__ import annotations

import functools
from collections.abc import KeysView, Mapping

import attrs
from oneiric_hookspecs import Key, Request

from .shelf import Shelf, equal
from .snapshot import Changed, Snapshot, decision, winner


@attrs.frozen(eq=False)
class Change:
    """What one call changed.

    Args:
        before: The snapshot it found.
        after: The snapshot it made; the same one where nothing changed.
    """

    before: Snapshot
    after: Snapshot
    _shelves: Mapping[Key, Shelf | None]

    @property
    def keys(self) -> KeysView[Key]:
        """The keys for which something changed, were it only a reason."""
        return self._shelves.keys()

    @functools.cached_property
    def won(self) -> tuple[Changed, ...]:
        """The keys whose winner is another one; worked out when first asked, so that bulk changes stay cheap."""
        won = []
        for key, earlier in self._shelves.items():
            later = self.after.shelf(key)
            if not equal(winner(earlier), winner(later)):
                won.append(Changed(key, decision(earlier), self.after.decide(Request(key))))
        return tuple(won)
