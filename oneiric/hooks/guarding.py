"""Loading of plugins that are somebody else's: each inside its own guard, listed whatever comes of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from .loading import alike, collection, installed, switches
from .making import must_be_plugin, named
from .records import Origin, PluginRecord
from .refusals import fail, strictly
from .roster import Roster

if TYPE_CHECKING:
    from importlib.metadata import Distribution

Names = Mapping[str, str] | Iterable[str]


@attrs.frozen
class Guard:
    """Loads plugins, and lets none of them stop the others.

    Args:
        roster: Where they are registered.
        origin: Where they come from.
        settings: Tables of settings, by plugin name.
        strict: Whether the first that fails ends it.
        protected: Whether they refuse to be blocked.
    """

    roster: Roster
    origin: Origin
    settings: Mapping[str, Any] | None
    strict: bool
    protected: bool = False

    def by_name(self, targets: Iterable[str], off: Names) -> tuple[PluginRecord, ...]:
        """As ``HookManager.load``."""
        not_these, wanted = switches(off, "off"), collection(targets, "targets")
        records = []
        for target in dict.fromkeys(wanted):
            record = PluginRecord(target, self.origin, target, protected=self.protected)
            said_off = not_these.get(alike(target))
            if said_off is not None:
                records.append(self._leave_alone(record, "it is switched off", said_off))
            else:
                records.append(self._load(record))
        return tuple(records)

    def by_entry_point(
        self,
        group: str,
        distributions: Iterable[Distribution] | None,
        off: Names,
        only: Names | None,
        *,
        auto_load: bool,
    ) -> tuple[PluginRecord, ...]:
        """As ``HookManager.load_entry_points``."""
        not_these, these = switches(off, "off"), None if only is None else switches(only, "only")
        records = []
        for each in installed(group, distributions):
            record = PluginRecord(
                each.name,
                self.origin,
                each.target,
                distribution=each.distribution or None,
                version=each.version or None,
            )
            names = (alike(each.distribution), alike(each.name))
            said_off = next((not_these[name] for name in names if name in not_these), None)
            chosen = these is not None and any(name in these for name in names)
            if said_off is not None:
                records.append(self._leave_alone(record, "it is switched off", said_off))
            elif these is not None and not chosen:
                records.append(self._leave_alone(record, "it is not among those that are on", "only"))
            elif not auto_load and not chosen:
                records.append(self._leave_alone(record, "installed plugins are not loaded", "auto_load"))
            else:
                records.append(self._load(record))
        return tuple(records)

    def _load(self, record: PluginRecord) -> PluginRecord:
        """Import and register; whatever happens, except KeyboardInterrupt, is written into *record*."""
        with self.roster.lock:
            begun = time.perf_counter()
            try:
                given = None
                if not self.roster.is_blocked(record.name):
                    given = named(record.target)
                    must_be_plugin(given, record.name)
                record.load_ms = (time.perf_counter() - begun) * 1000
                self.roster.take_in(record, given, (self.settings or {}).get(record.name))
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                if self.strict:
                    refusal = strictly(record, error)
                    if refusal is error:
                        raise
                    raise refusal from error
                record.load_ms = (time.perf_counter() - begun) * 1000
                fail(record, error)
            self.roster.keep(record)
        return record

    def _leave_alone(self, record: PluginRecord, reason: str, by: str) -> PluginRecord:
        record.state, record.reason, record.by = "off", reason, by
        with self.roster.lock:
            self.roster.keep(record)
        return record
