"""The plugins of one manager: those that are asked, and those that are not, with the reason."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import pluggy
from oneiric_hookspecs import PluginError, a_few, nearest

from oneiric.installed import alike

from . import lint
from .catalogue import Catalogue
from .declaring import Face
from .faults import FAULTY, Faults
from .making import name_of
from .records import PluginRecord
from .refusals import together

Make = Callable[[Any, str, Any], Any]


class Roster:
    """Plugins, in the order of registration.

    Args:
        catalogue: The hooks they implement.
        faults: Where it is noted that one cannot be closed.
        make: ``make(given, name, settings)`` gives what is asked: an instance of a class, or what was given.

    Attributes:
        lock: Held while plugins or hooks change.
        records: Of every plugin, those that are not on too.
    """

    def __init__(self, catalogue: Catalogue, faults: Faults, make: Make) -> None:
        self.lock = threading.RLock()
        self.records: list[PluginRecord] = []
        self._catalogue, self._faults, self._make = catalogue, faults, make
        self._faces: dict[str, Face] = {}
        self._blocked: dict[str, str] = {}
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._faces)

    # --- who is there --------------------------------------------------------------------------------------------

    def named(self, name: str) -> PluginRecord:
        """The plugin of that name; the one that is on, where several wanted it.

        Raises:
            PluginError: There is none.
        """
        found = [record for record in self.records if record.name == name]
        if not found:
            known = [record.name for record in self.records]
            near = nearest(name, known)
            hint = f"did you mean {near}?" if near else f"there are: {a_few(known)}"
            raise PluginError(f"there is no plugin {name}", hint=hint)
        face = self._faces.get(name)
        return found[0] if face is None else face.record

    def find(self, plugin: Any) -> PluginRecord:
        """The plugin of that name, or that was given, or made, or has that record.

        Raises:
            PluginError: It is not registered.
        """
        if isinstance(plugin, str):
            return self.named(plugin)
        for record in self.records:
            if plugin is record or (
                plugin is not None and (plugin is record.plugin or plugin is record.given)
            ):
                return record
        raise PluginError(f"{name_of(plugin)} is not registered")

    def unknown(self, names: Iterable[str]) -> dict[str, str | None]:
        """Those of *names* that are no plugin, entry point or distribution here, each with the nearest that is."""
        known = [name for record in self.records for name in (record.name, record.distribution) if name]
        there = {alike(name) for name in known}
        return {name: nearest(name, known) for name in names if alike(name) not in there}

    # --- coming --------------------------------------------------------------------------------------------------

    def is_blocked(self, name: str) -> bool:
        """Whether a plugin of that name would be refused."""
        return name in self._blocked

    def take_in(self, record: PluginRecord, given: Any, settings: Any) -> None:
        """Register *given*, which is what *record* is about, or raise and leave nothing behind."""
        begun = time.perf_counter()
        if record.name in self._blocked:
            record.state, record.reason, record.by = "blocked", "it is blocked", self._blocked[record.name]
            return
        self._check_new(record, given)
        record.where = lint.where(given)
        found = list(lint.scan(given, self._catalogue.known.prefix))
        self._check(record, found)
        plugin = self._make(given, record.name, settings)
        record.plugin, record.given = plugin, given
        try:
            if plugin is not given:
                seen = {each.attribute for each in found}
                found = list(lint.scan(plugin, self._catalogue.known.prefix))
                self._check(record, [each for each in found if each.attribute not in seen])
            face = Face(record, [each for each in found if each.options is not None])
            record.sequence = self._sequence + 1
            self._catalogue.admit(face, record.name)
        except BaseException as error:
            self._end(record)
            record.plugin = None
            if isinstance(error, pluggy.PluginValidationError):
                raise PluginError(str(error), plugin=record.name, distribution=record.distribution) from error
            raise
        self._sequence += 1
        if not face.found:
            record.findings += (self._without_hooks(record),)
        self._faces[record.name] = face
        self._catalogue.ask(face)
        record.load_ms += (time.perf_counter() - begun) * 1000

    def keep(self, record: PluginRecord) -> None:
        """List *record*, whatever came of it."""
        # A name that was blocked before it came has one record, the latest.
        self.records[:] = [r for r in self.records if r.name != record.name or r.state != "blocked"]
        self.records.append(record)

    def check_waiting(self, names: Iterable[str]) -> None:
        """Lint what plugins optionally implement of the hooks *names*, which are declared only now."""
        names = set(names)
        for face in list(self._faces.values()):
            waiting = [each for each in face.found if each.hook in names]
            try:
                self._check(face.record, waiting)
            except PluginError as error:
                self._withdraw(face.record)
                face.record.state, face.record.reason, face.record.error = "failed", error.message, error

    # --- going ---------------------------------------------------------------------------------------------------

    def remove(self, record: PluginRecord) -> None:
        """Ask it no more, close it, and forget it."""
        self.records.remove(record)
        self._withdraw(record)

    def clear(self) -> None:
        """Remove all, newest first."""
        for record in reversed(self.records):
            self._withdraw(record)
        self.records.clear()

    def block(self, name: str, by: str) -> None:
        """Ask the plugin of that name no more, and refuse it from now on.

        Raises:
            PluginError: It is always on.
        """
        for record in [each for each in self.records if each.name == name]:
            if record.protected:
                raise PluginError("it is always on, and cannot be blocked", plugin=name)
            self._withdraw(record)
            record.state, record.reason, record.by = "blocked", "it is blocked", by
            record.failing.clear()
        self._catalogue.block(name)
        self._blocked[name] = by

    def unblock(self, name: str) -> None:
        """Take back ``block``, and forget what was blocked."""
        if self._blocked.pop(name, None) is not None:
            self._catalogue.unblock(name)
            self.records[:] = [r for r in self.records if r.name != name or r.state != "blocked"]

    # --- how it is done ------------------------------------------------------------------------------------------

    def _check_new(self, record: PluginRecord, given: Any) -> None:
        for name, face in self._faces.items():
            other = face.record
            if name == record.name:
                raise PluginError(
                    f"the name {name} is taken by {_owner(other)}",
                    plugin=name,
                    distribution=record.distribution,
                    hint="switch one of them off by its distribution, or register it under another name",
                )
            if other.given is given:
                raise PluginError(f"it is registered already, as {name}", plugin=record.name)

    def _check(self, record: PluginRecord, found: Iterable[lint.Found]) -> None:
        """Lint; what is found is kept in *record*.

        Raises:
            PluginError: All that is wrong.
        """
        for each in found:
            for finding in lint.lint(each, self._catalogue.known, record.name, record.distribution):
                record.findings += (finding,)
                if finding.code == "D201":
                    lint.warn(finding, each.function)
        errors = [finding for finding in record.findings if str(finding.code).startswith("E")]
        if errors:
            raise together(errors)

    def _without_hooks(self, record: PluginRecord) -> PluginError:
        return PluginError(
            f"it implements no hook that begins with {self._catalogue.known.prefix}_",
            code="W108",
            plugin=record.name,
            distribution=record.distribution,
            where=record.where,
        )

    def _withdraw(self, record: PluginRecord) -> None:
        """Ask it no more, and close it."""
        face = self._faces.get(record.name)
        if face is None or face.record is not record:
            return  # it never was on
        del self._faces[record.name]
        self._catalogue.forget(face, record)
        self._end(record)

    def _end(self, record: PluginRecord) -> None:
        """Close what was made for a class; an object that was given is its giver's to close."""
        if not inspect.isclass(record.given) or not callable(getattr(record.plugin, "close", None)):
            return
        try:
            ended = record.plugin.close()
            if inspect.iscoroutine(ended):
                ended.close()
                raise TypeError("close() of a plugin is sync; write def")
        except FAULTY as error:
            self._faults.note_close(record, error)


def _owner(record: PluginRecord) -> str:
    if record.distribution:
        return f"{record.distribution} {record.version or ''}".strip()
    return f"a plugin of origin {record.origin}" + (f" ({record.where})" if record.where else "")
