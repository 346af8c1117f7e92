"""Loading of plugins that are somebody else's: each inside its own guard, listed whatever comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
from oneiric_hookspecs import PluginError

from oneiric.installed import Installed, alike, installed, written_at

from .loading import collection, switches
from .making import must_be_plugin, named
from .records import Origin, PluginRecord
from .refusals import fail, strictly
from .roster import Roster
from .surroundings import Surroundings

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
        watch: Called with each one's record before it is imported.
    """

    roster: Roster
    origin: Origin
    settings: Mapping[str, Any] | None
    strict: bool
    protected: bool = False
    watch: Callable[[PluginRecord], object] | None = None

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
            known = self._known(each)
            if known is not None:
                known.groups += (group,)
                continue
            record = PluginRecord(
                each.name,
                self.origin,
                "" if each.fault else each.target,
                groups=(group,),
                distribution=each.distribution or None,
                version=each.version or None,
            )
            distribution, name = alike(each.distribution), alike(each.name)
            names = (distribution, name, f"{distribution}:{name}")
            said_off = [not_these[name] for name in dict.fromkeys(names) if name in not_these]
            chosen = these is not None and any(name in these for name in names)
            if said_off:
                records.append(self._leave_alone(record, "it is switched off", "; ".join(said_off)))
            elif these is not None and not chosen:
                who = only if isinstance(only, Mapping) else None
                by = next(iter(who.values()), "only") if who else "only"
                records.append(self._leave_alone(record, "it is not among those that are on", by))
            elif not auto_load and not chosen:
                records.append(self._leave_alone(record, "installed plugins are not loaded", "auto_load"))
            elif each.fault:
                records.append(self._refuse(record, PluginError(each.fault, where=each.target)))
            else:
                records.append(self._load(record))
        return tuple(records)

    def _known(self, each: Installed) -> PluginRecord | None:
        """The plugin that this is, where a distribution brings it in two groups, and this is the second."""
        return next(
            (
                record
                for record in self.roster.records
                if (record.distribution, record.name, record.target)
                == (each.distribution, each.name, each.target)
                and each.group not in record.groups
            ),
            None,
        )

    def _load(self, record: PluginRecord) -> PluginRecord:
        """Import and register; whatever happens, except KeyboardInterrupt, is written into *record*."""
        with self.roster.lock:
            if self.watch is not None:
                self.watch(record)
            before = Surroundings.now()
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
                record.load_ms = (time.perf_counter() - begun) * 1000
                self._fail(record, error)
            finally:
                _note_changes(record, before.put_back())
            self.roster.keep(record)
        return record

    def _refuse(self, record: PluginRecord, error: PluginError) -> PluginRecord:
        """List what cannot even be imported."""
        self._fail(record, error)
        with self.roster.lock:
            self.roster.keep(record)
        return record

    def _fail(self, record: PluginRecord, error: BaseException) -> None:
        if self.strict:
            refusal = strictly(record, error)
            refusal.where = refusal.where or _asked_at(record)
            if refusal is error:
                raise error
            raise refusal from error
        fail(record, error)
        record.where = record.where or _asked_at(record)

    def _leave_alone(self, record: PluginRecord, reason: str, by: str) -> PluginRecord:
        record.state, record.reason, record.by = "off", reason, by
        with self.roster.lock:
            self.roster.keep(record)
        return record


def _note_changes(record: PluginRecord, changed: list[str]) -> None:
    if changed:
        finding = PluginError(
            f"loading it changed {', '.join(changed)}, which was put back",
            code="W109",
            plugin=record.name,
            distribution=record.distribution,
            where=record.where,
            hint="an application sets these up itself; do it when the runtime starts, or not at all",
        )
        record.findings += (finding,)


def _asked_at(record: PluginRecord) -> str | None:
    """The line of its entry point: who failed without a line of its own is to be found by the one that names it."""
    if not record.groups or record.distribution is None:
        return None
    return written_at(record.distribution, record.groups[0], record.name)
