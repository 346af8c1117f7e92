"""What one call changed."""

from __future__ import annotations

from collections.abc import KeysView, Mapping

from oneiric_hookspecs import Key, Request

from .shelf import Shelf, equal
from .snapshot import Changed, Snapshot, decision, winner


class Change:
    """What one call changed.

    Attributes:
        before: The snapshot it found.
        after: The snapshot it made; the same one where nothing changed.
    """

    __slots__ = ("_shelves", "_won", "after", "before")

    def __init__(self, before: Snapshot, after: Snapshot, shelves: Mapping[Key, Shelf | None]) -> None:
        self.before, self.after = before, after
        self._shelves = shelves  # as they stood before
        self._won: tuple[Changed, ...] | None = None

    @property
    def keys(self) -> KeysView[Key]:
        """The keys for which something changed, were it only a reason."""
        return self._shelves.keys()

    @property
    def won(self) -> tuple[Changed, ...]:
        """The keys whose winner is another one; worked out when first asked, so that bulk changes stay cheap."""
        if self._won is None:
            won = []
            for key, earlier in self._shelves.items():
                later = self.after.shelf(key)
                if not equal(winner(earlier), winner(later)):
                    won.append(Changed(key, decision(earlier), self.after.decide(Request(key))))
            self._won = tuple(won)
        return self._won
