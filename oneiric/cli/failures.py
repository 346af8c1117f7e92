"""Why a plugin failed, for people: what, where in its own code, and what to do."""

from __future__ import annotations

import traceback
from typing import Any, NamedTuple, Self

from oneiric_hookspecs import OneiricError, PluginError


class Failure(NamedTuple):
    """Why a plugin failed.

    Args:
        what: In a sentence.
        where: ``file:line`` in the plugin, as near to the mistake as is known; empty where nothing is.
        hint: The nearest right name, or what to do; empty where there is nothing to say.
    """

    what: str
    where: str
    hint: str

    @classmethod
    def of(cls, record: Any) -> Self:
        """Of a plugin's record."""
        error = record.error
        if not isinstance(error, OneiricError):
            return cls(record.reason, _raised(record) or record.where or "", "")
        from oneiric.hooks.faults import short  # whose neighbours take longer than the TAB key may

        where = error.where or _raised(record) or record.where or ""
        return cls(short(error.message or record.reason), where, short(error.hint or ""))

    def error(self, record: Any) -> PluginError:
        """The same as an error that ends a command."""
        return PluginError(
            self.what,
            plugin=record.name,
            distribution=record.distribution,
            where=self.where or None,
            hint=self.hint or None,
        )

    @property
    def at(self) -> str:
        """The place, to be put behind."""
        return f" ({self.where})" if self.where else ""


def _raised(record: Any) -> str | None:
    """The last line of the plugin's own file on the way to what it raised."""
    file = (record.where or "").rpartition(":")[0]
    if record.error is None or not file:
        return None
    lines = [
        each.lineno for each in traceback.extract_tb(record.error.__traceback__) if each.filename == file
    ]
    return f"{file}:{lines[-1]}" if lines else None
