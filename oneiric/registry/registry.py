"""Holds the newest snapshot, and makes the next."""

from __future__ import annotations

import threading
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
from oneiric_hookspecs import Candidate, Domain, Identity, Key, Markers, PluginError, Selection, Source, a_few

from .change import Change
from .checking import checked
from .draft import Draft
from .shelf import NO_ORDERS, Facts, OnMissing, Resolver, Shelf, World
from .snapshot import Snapshot


class Registry:
    """Holds the newest snapshot, and makes the next.  May be used from any thread.

    Every call takes effect whole, by one assignment, or raises and changes nothing.  Somebody who saw a part of a
    change in one snapshot sees all of it in that and every later one.

    Args:
        domains: The kinds of parts there are; see ``add_domains``.
        resolver: Decides who fills a key; see ``oneiric.resolution``.
        markers: What this interpreter is.
        stack_order: Priorities by package.
    """

    def __init__(
        self,
        domains: Iterable[Domain] = (),
        *,
        resolver: Resolver,
        markers: Markers | None = None,
        stack_order: Mapping[str, int] | None = None,
    ) -> None:
        world = World(resolver, markers or Markers(), types.MappingProxyType(dict(stack_order or {})))
        #: The newest snapshot.
        self.snapshot = Snapshot({}, 0, Facts(world, {}, {}, {}, {}, "error", {}))
        self._lock = threading.Lock()
        self._callbacks: tuple[Callable[[Change], object], ...] = ()
        self._indexes: dict[Key, tuple[Shelf, set[Any]]] = {}
        # Where each source stands, so that replacing one looks at its keys and no others.  Lists, as they take a
        # tenth of what a dict would; a key that was withdrawn stays in until the list has doubled.
        self._stands: dict[str, list[Key]] = {}
        self._limits: dict[str, int] = {}
        self.add_domains(domains)

    # --- domains ------------------------------------------------------------------------------------------------

    def add_domains(self, domains: Iterable[Domain]) -> None:
        """Add kinds of parts; all of them, or none.

        Raises:
            PluginError: A name or a plural is taken already.
        """
        with self._lock:
            facts = self.snapshot.facts
            taken = {
                word: domain for domain in facts.domains.values() for word in (domain.name, domain.plural)
            }
            added = dict(facts.domains)
            for domain in domains:
                if not isinstance(domain, Domain):
                    raise PluginError(f"{domain!r} is not a Domain")
                for word in dict.fromkeys((domain.name, domain.plural)):
                    if word in taken:
                        other = taken[word]
                        raise PluginError(
                            f"there is a domain {other.name} ({other.plural}) already; "
                            f"{domain.name} ({domain.plural}) would be a second one of the name {word}",
                            hint=f"domains: {a_few(facts.domains)}",
                        )
                taken[domain.name] = taken[domain.plural] = domain
                added[domain.name] = domain
            if len(added) > len(facts.domains):
                draft = Draft(self.snapshot, self._indexes)
                draft.facts = attrs.evolve(facts, domains=types.MappingProxyType(added))
                self._publish(draft)

    # --- candidates ---------------------------------------------------------------------------------------------

    def replace(self, source: Source, candidates: Iterable[Candidate], *, order: int = 0) -> Change:
        """Put *candidates* in the place of all that *source* declared before, in one step.

        What is equal to what was there counts as unchanged.

        Args:
            source: Who declares them.
            candidates: What it declares, in order.
            order: A stream's place among the streams, as in the settings; no matter to others.
        Raises:
            PluginError: One of them cannot be registered; nothing has changed.
        """
        groups = checked(source, candidates, self.snapshot.domains)
        with self._lock:
            draft = Draft(self.snapshot, self._indexes)
            draft.replace(draft.origin(source, order, new=True), self._stands.get(source.name, ()), groups)
            change = self._publish(draft)
            self._stands[source.name] = draft.gained
            self._limits[source.name] = 2 * len(draft.gained) + 64
        return self._tell(change)

    def register(self, source: Source, *candidates: Candidate, order: int = 0) -> Change:
        """Add *candidates* to what *source* declared; one of a known identity takes the place of the one before.

        Raises:
            PluginError: One of them cannot be registered; nothing has changed.
        """
        groups = checked(source, candidates, self.snapshot.domains)
        with self._lock:
            draft = Draft(self.snapshot, self._indexes)
            draft.place(draft.origin(source, order), groups)
            change = self._publish(draft)
            if draft.gained:
                self._stand(source.name, draft.gained)
        return self._tell(change)

    def amend(
        self,
        source: Source,
        put: Iterable[Candidate],
        drop: Iterable[tuple[Key, str, str | None]] = (),
        *,
        order: int = 0,
    ) -> Change:
        """Add some of what *source* declares, and take some of it away, in one step; all else of it stays.

        Args:
            source: Whose they are.
            put: Candidates; one of a known identity takes the place of the one before.
            drop: Key, provider and version of those that are withdrawn; what is not there is withdrawn already.
            order: As for ``replace``, and as it was there.
        Raises:
            PluginError: One of them cannot be registered; nothing has changed.
        """
        groups = checked(source, put, self.snapshot.domains)
        gone: dict[Key, set[tuple[str, str | None]]] = {}
        for key, provider, version in drop:
            gone.setdefault(key, set()).add((provider, version))
        with self._lock:
            draft = Draft(self.snapshot, self._indexes)
            if gone:
                draft.drop(source.name, gone)
            if groups:
                draft.place(draft.origin(source, order), groups)
            change = self._publish(draft)
            if draft.gained:
                self._stand(source.name, draft.gained)
        return self._tell(change)

    def withdraw(self, source_name: str, *, key: Key | None = None, provider: str | None = None) -> Change:
        """Take away what a source declared: all of it, or what it has for *key*, or of one *provider*.

        What is not there is withdrawn already.
        """
        with self._lock:
            draft = Draft(self.snapshot, self._indexes)
            stands: Iterable[Key] = self._stands.get(source_name, ()) if key is None else (key,)
            whole = key is None and provider is None
            draft.withdraw(source_name, stands, provider, whole=whole)
            change = self._publish(draft)
            if whole:
                self._stands.pop(source_name, None)
        return self._tell(change)

    # --- orders -------------------------------------------------------------------------------------------------

    def select(self, selections: Mapping[Key, str], on_missing: OnMissing = "error") -> Change:
        """Set the selections of the settings, all of them.

        Args:
            selections: Providers by key.
            on_missing: What one means that names nothing registered: an error, or what wins without it.
        Raises:
            PluginError: What is given is not keys, or not a word for *on_missing*.
        """
        return self._write(lambda draft: draft.select(selections, on_missing))

    def pin(self, key: Key, provider: str, *, reason: str = "") -> Change:
        """Select *provider* for *key*, above the settings."""
        return self._write(lambda draft: draft.pin(key, Selection(provider, "a pin", reason)))

    def unpin(self, key: Key) -> Change:
        """Take the pin of *key* away."""
        return self._write(lambda draft: draft.pin(key, None))

    def quarantine(self, key: Key, identity: Identity, reason: str) -> Change:
        """Leave a candidate of *key* out, whether it is registered now or later."""
        return self._write(lambda draft: draft.quarantine(key, identity, reason))

    def release(self, key: Key, identity: Identity | None = None, *, provider: str | None = None) -> Change:
        """End a quarantine: of one candidate, of all those of *provider*, or of every one of *key*."""

        def meant(other: Identity) -> bool:
            return (identity is None or other == identity) and (provider is None or other[1] == provider)

        return self._write(lambda draft: draft.release(key, meant))

    def set_stack_order(self, stack_order: Mapping[str, int]) -> Change:
        """Give packages other priorities, all of them."""
        return self._write(lambda draft: draft.order(stack_order))

    def decide_anew(self) -> Change:
        """Forget every decision: the plugins that take part in deciding are others now."""
        return self._write(Draft.anew)

    # --- publication --------------------------------------------------------------------------------------------

    def on_change(self, callback: Callable[[Change], object]) -> None:
        """Call *callback* after every change, in the thread that made it, without a lock held; it must not raise.

        Changes that two threads make at once may be told in either order; their revisions tell which came first.
        """
        with self._lock:
            self._callbacks = (*self._callbacks, callback)

    def _write(self, alter: Callable[[Draft], None]) -> Change:
        with self._lock:
            draft = Draft(self.snapshot, self._indexes)
            alter(draft)
            change = self._publish(draft)
        return self._tell(change)

    def _publish(self, draft: Draft) -> Change:
        before, changed = draft.base, draft.changed
        if not changed and draft.facts is before.facts:
            return Change(before, before, {})
        shelves = before.shelves
        after = Snapshot(shelves, draft.revision, draft.facts)
        earlier = {key: shelves.get(key) for key in changed}
        # First what readers of the old snapshot will need, then the shelves, then the new snapshot: whoever finds a
        # shelf that is too new for him finds the old one set aside.
        before.past = (earlier, after)
        shelves.update(changed)
        if draft.shrinks:
            for key, shelf in changed.items():
                if not shelf.candidates and shelf.orders == NO_ORDERS:
                    del shelves[key]
        if self._indexes:
            for key in self._indexes.keys() & changed.keys():
                if self._indexes[key][0] is not changed[key]:
                    del self._indexes[key]
        self.snapshot = after
        return Change(before, after, earlier)

    def _tell(self, change: Change) -> Change:
        if change.after is not change.before:
            for callback in self._callbacks:
                callback(change)
        return change

    def _stand(self, name: str, keys: Iterable[Key]) -> None:
        stands = self._stands.setdefault(name, [])
        stands.extend(keys)
        if len(stands) > self._limits.setdefault(name, 64):
            shelves = self.snapshot.shelves
            stands[:] = [
                key
                for key in dict.fromkeys(stands)
                if key in shelves and any(source.name == name for source in shelves[key].sources)
            ]
            self._limits[name] = 2 * len(stands) + 64
