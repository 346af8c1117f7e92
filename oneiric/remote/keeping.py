"""A verifier's files as they would be: what a dry run saves is seen by it, and by nobody else."""

from __future__ import annotations

from oneiric_hookspecs import Keep


class Aside:
    """A ``Keep`` over another one, which it does not change.

    Args:
        keep: The other one.
    """

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._saved: dict[str, bytes] = {}

    def load(self, name: str) -> bytes | None:
        """What was saved under *name*, here or there."""
        return self._saved[name] if name in self._saved else self._keep.load(name)

    def save(self, name: str, data: bytes) -> None:
        """Remember *data*."""
        self._saved[name] = data

    def names(self) -> list[str]:
        """What was saved, sorted."""
        return sorted({*self._saved, *self._keep.names()})
