"""A change in the making."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
from oneiric_hookspecs import Candidate, Identity, Key, PluginError, Selection, Source, View

from .shelf import NO_ORDERS, OnMissing, Orders, Origin, Shelf, equal
from .snapshot import Snapshot

KINDS: Final = ("builtin", "installed", "stream", "application")
MANY: Final = 16  # candidates on one shelf, from which on writers keep an index of it


class Draft:
    """A change in the making: nothing of it is seen before it is published, or dropped."""

    def __init__(self, base: Snapshot, indexes: dict[Key, tuple[Shelf, set[Any]]]) -> None:
        self.base = base
        self.revision = base.revision + 1
        self.facts = base.facts
        self.changed: dict[Key, Shelf] = {}
        self.indexes = indexes
        self.shrinks = False  # whether a shelf may have become empty
        self.gained: list[Key] = []  # keys that the source of this change stands on for the first time

    def shelf(self, key: Key) -> Shelf | None:
        shelf = self.changed.get(key)
        return self.base.shelf(key) if shelf is None else shelf

    def emptied(self, key: Key) -> Shelf:
        shelf = self.shelf(key)
        return shelf if shelf is not None else Shelf(key, -1, (), (), False, NO_ORDERS, self.facts.world)

    def keys_of(self, name: str) -> Iterator[Key]:
        """The keys on which a source stands, by looking at all of them."""
        for key, shelf in self.base.everything().items():
            if any(source.name == name for source in shelf.sources):
                yield key

    def origin(self, source: Source, order: int, *, new: bool = False) -> Origin:
        """Let *source* take its rank.

        Raises:
            PluginError: Another source has that name (and *new* does not say that this one takes its place).
        """
        known = self.facts.origins.get(source.name)
        if (
            known is not None
            and (known.source is source or known.source == source)
            and (source.kind != "stream" or known.rank[1] == order)
        ):
            return known
        if source.kind not in KINDS:
            raise PluginError(
                f"source {source.name} is of the unknown kind {source.kind!r}",
                hint=f"kinds: {', '.join(KINDS)}",
            )
        if known is not None and not new:
            if known.source != source:
                raise PluginError(
                    f"source {source.name} is registered already, as {known.source}",
                    hint="give it another name",
                )
            raise PluginError(
                f"source {source.name} is registered already, as number {known.rank[1]} among the streams",
                hint="replace it as a whole to give it another place",
            )
        facts, name = self.facts, source.name
        if source.kind == "application" and name not in facts.seniority:
            # First come, first placed; kept when it goes and comes back.
            facts = attrs.evolve(facts, seniority={**facts.seniority, name: len(facts.seniority)})
        rank = {
            "builtin": (0, 0, source.distribution or "", name),
            "installed": (1, 0, source.distribution or "", name),
            "stream": (2, order, "", name),
            "application": (3, facts.seniority.get(name, 0), "", name),
        }[source.kind]
        made = Origin(source, rank, (source,))
        self.facts = attrs.evolve(facts, origins={**facts.origins, name: made})
        return made

    def place(self, origin: Origin, groups: Mapping[Key, Candidate | list[Candidate]]) -> None:
        """Add candidates to what stands there; those of a known identity take the place of the one before."""
        for key, group in groups.items():
            shelf = self.shelf(key)
            if shelf is None:
                self._fresh(origin, key, group)
                continue
            for candidate in group if isinstance(group, list) else (group,):
                shelf = self._placed(shelf, origin, candidate)

    def _fresh(self, origin: Origin, key: Key, group: Candidate | list[Candidate]) -> None:
        candidates: tuple[Candidate, ...]
        sources: tuple[Source, ...]
        if isinstance(group, list):
            candidates = tuple(group)
            sources = origin.alone * len(candidates)
            mixed = len({candidate.provider for candidate in candidates}) < len(candidates)
        else:
            candidates, sources, mixed = (group,), origin.alone, False
        self.changed[key] = Shelf(key, self.revision, candidates, sources, mixed, NO_ORDERS, self.facts.world)
        self.gained.append(key)

    def _placed(self, shelf: Shelf, origin: Origin, candidate: Candidate) -> Shelf:
        source, provider, version = origin.source, candidate.provider, candidate.version
        candidates, sources, mixed = shelf.candidates, shelf.sources, shelf.mixed
        key, name, count = shelf.key, source.name, len(candidates)
        # Whether the source is new here, has this provider already, and where it has this very version; and whether
        # that very object is here, from another source.
        stranger, another, same, twin = True, False, None, False
        index = None
        if count < MANY:
            for place in range(count):
                other = candidates[place]
                if other is candidate:
                    twin = True
                if sources[place].name == name:
                    stranger = False
                    if other.provider == provider:
                        another = True
                        if other.version == version:
                            same = place
        else:
            index = self._index(shelf)
            stranger, another, twin = (name,) not in index, (name, provider) in index, id(candidate) in index
            if (name, provider, version) in index:
                same = self._find(shelf, name, provider, version)
        if same is not None and equal(candidates[same], candidate):
            return shelf
        if twin:  # a view tells sources by object
            candidate = attrs.evolve(candidate)
        if same is not None:
            if index is not None:
                index.discard(id(candidates[same]))
            candidates = (*candidates[:same], candidate, *candidates[same + 1 :])
        else:
            mixed = mixed or another
            place = count
            if count and sources[-1] is not source:
                origins, rank = self.facts.origins, origin.rank
                while place and origins[sources[place - 1].name].rank > rank:
                    place -= 1
            candidates = (*candidates[:place], candidate, *candidates[place:])
            sources = (*sources[:place], source, *sources[place:])
        made = Shelf(key, self.revision, candidates, sources, mixed, shelf.orders, self.facts.world)
        self.changed[key] = made
        if stranger:
            self.gained.append(key)
        if index is not None:
            index.update(((name,), (name, provider), (name, provider, version), id(candidate)))
            self.indexes[key] = (made, index)
        return made

    def _index(self, shelf: Shelf) -> set[Any]:
        """Identities on a full shelf, and who stands there at all: looking through it for each newcomer is square."""
        kept = self.indexes.get(shelf.key)
        if kept is not None and kept[0] is shelf:
            return kept[1]
        index: set[Any] = set()
        for candidate, source in zip(shelf.candidates, shelf.sources, strict=True):
            name, provider = source.name, candidate.provider
            index.update(((name,), (name, provider), (name, provider, candidate.version), id(candidate)))
        return index

    @staticmethod
    def _find(shelf: Shelf, name: str, provider: str, version: str | None) -> int:
        return next(
            place
            for place, (candidate, source) in enumerate(zip(shelf.candidates, shelf.sources, strict=True))
            if candidate.provider == provider and candidate.version == version and source.name == name
        )

    def withdraw(self, name: str, keys: Iterable[Key], provider: str | None, *, whole: bool) -> None:
        """Take away what source *name* has on *keys*; of one *provider* if given."""
        self.shrinks = True
        for key in list(keys):
            shelf = self.shelf(key)
            if shelf is None:
                continue
            kept = [
                (candidate, source)
                for candidate, source in zip(shelf.candidates, shelf.sources, strict=True)
                if source.name != name or (provider is not None and candidate.provider != provider)
            ]
            if len(kept) < len(shelf.candidates):
                self.changed[key] = self._shelved(shelf, kept)
        if whole and name in self.facts.origins:
            origins = {other: origin for other, origin in self.facts.origins.items() if other != name}
            self.facts = attrs.evolve(self.facts, origins=origins)

    def drop(self, name: str, gone: Mapping[Key, set[tuple[str, str | None]]]) -> None:
        """Take away those of source *name* whose provider and version are named, by key."""
        self.shrinks = True
        for key, identities in gone.items():
            shelf = self.shelf(key)
            if shelf is None:
                continue
            kept = [
                (candidate, source)
                for candidate, source in zip(shelf.candidates, shelf.sources, strict=True)
                if source.name != name or (candidate.provider, candidate.version) not in identities
            ]
            if len(kept) < len(shelf.candidates):
                self.changed[key] = self._shelved(shelf, kept)

    def replace(
        self, origin: Origin, keys: Iterable[Key], groups: Mapping[Key, Candidate | list[Candidate]]
    ) -> None:
        """Put *groups* in the place of everything the source has, which stands on *keys*."""
        name = origin.source.name
        origins, rank = self.facts.origins, origin.rank
        self.withdraw(name, (key for key in dict.fromkeys(keys) if key not in groups), None, whole=False)
        for key, group in groups.items():
            shelf = self.shelf(key)
            if shelf is None:
                self._fresh(origin, key, group)
                continue
            declared: list[Candidate] = group if isinstance(group, list) else [group]
            pairs = list(zip(shelf.candidates, shelf.sources, strict=True))
            own = [pair for pair in pairs if pair[1].name == name]
            others = [pair for pair in pairs if pair[1].name != name]
            before = {(candidate.provider, candidate.version): candidate for candidate, _ in own}
            # What is equal stays the object it was, so that what stands on it does not count as changed.
            arrived = []
            for candidate in declared:
                old = before.get((candidate.provider, candidate.version))
                if old is not None and equal(old, candidate):
                    arrived.append((old, origin.source))
                else:
                    arrived.append((distinct(candidate, [other for other, _ in others]), origin.source))
            place = sum(origins[source.name].rank < rank for _, source in others)
            now = [*others[:place], *arrived, *others[place:]]
            if [(id(candidate), source) for candidate, source in now] != [
                (id(candidate), source) for candidate, source in pairs
            ]:
                self.changed[key] = self._shelved(shelf, now)
        self.gained = list(groups)

    def _shelved(self, shelf: Shelf, pairs: Sequence[tuple[Candidate, Source]]) -> Shelf:
        mixed = len({(source.name, candidate.provider) for candidate, source in pairs}) < len(pairs)
        candidates, sources = zip(*pairs, strict=True) if pairs else ((), ())
        return Shelf(shelf.key, self.revision, candidates, sources, mixed, shelf.orders, self.facts.world)

    def _again(self, shelf: Shelf, orders: Orders | None = None) -> None:
        """The same shelf, undecided, with other *orders* if given."""
        self.changed[shelf.key] = Shelf(
            shelf.key,
            self.revision,
            shelf.candidates,
            shelf.sources,
            shelf.mixed,
            shelf.orders if orders is None else orders,
            self.facts.world,
        )

    def pin(self, key: Key, selection: Selection | None) -> None:
        check_key(key)
        self.shrinks = True
        shelf = self.emptied(key)
        if shelf.orders.pin != selection:
            self._again(shelf, attrs.evolve(shelf.orders, pin=selection))
            pins = {other: pin for other, pin in self.facts.pins.items() if other != key}
            self.facts = attrs.evolve(
                self.facts, pins=pins if selection is None else {**pins, key: selection}
            )

    def select(self, selections: Mapping[Key, str], on_missing: OnMissing) -> None:
        if on_missing not in ("error", "fallback"):
            raise PluginError(f"on_missing is error or fallback, found {on_missing!r}")
        for key in selections:
            check_key(key)
        self.shrinks = True
        for key in self.facts.selections.keys() | selections.keys():
            shelf = self.emptied(key)
            provider = selections.get(key)
            orders = attrs.evolve(
                shelf.orders,
                selection=None if provider is None else Selection(provider, "the settings"),
                on_missing=on_missing if provider is not None else "error",
            )
            if orders != shelf.orders:
                self._again(shelf, orders)
        facts = self.facts
        if (facts.selections, facts.on_missing) != (selections, on_missing):
            self.facts = attrs.evolve(facts, selections=dict(selections), on_missing=on_missing)

    def quarantine(self, key: Key, identity: Identity, reason: str) -> None:
        check_key(key)
        self._set_quarantine(key, lambda now: {**now, identity: reason})

    def release(self, key: Key, meant: Callable[[Identity], bool]) -> None:
        check_key(key)
        self._set_quarantine(key, lambda now: {other: why for other, why in now.items() if not meant(other)})

    def _set_quarantine(
        self, key: Key, alter: Callable[[Mapping[Identity, str]], dict[Identity, str]]
    ) -> None:
        self.shrinks = True
        shelf = self.emptied(key)
        now = alter(shelf.orders.quarantine)
        if now != shelf.orders.quarantine:
            self._again(shelf, attrs.evolve(shelf.orders, quarantine=types.MappingProxyType(now)))

    def order(self, stack_order: Mapping[str, int]) -> None:
        """Give packages other priorities; only keys with a source to which that matters change."""
        if stack_order == self.facts.world.stack_order:
            return
        world = attrs.evolve(self.facts.world, stack_order=types.MappingProxyType(dict(stack_order)))
        old = View(stack_order=self.facts.world.stack_order)
        new = View(stack_order=world.stack_order)
        moved = {
            name
            for name, origin in self.facts.origins.items()
            if package_priority(old, origin.source) != package_priority(new, origin.source)
        }
        self.facts = attrs.evolve(self.facts, world=world)
        for shelf in (self.base.everything() | self.changed).values():
            if any(source.name in moved for source in shelf.sources):
                self._again(shelf)

    def anew(self) -> None:
        """Decide everything again."""
        for shelf in self.base.everything().values():
            self._again(shelf)


def package_priority(view: View, source: Source) -> int:
    order = view.stack_order
    return order.get(source.package, order.get(source.name, order.get(source.distribution or "", 0)))


def distinct(candidate: Candidate, others: Iterable[Candidate]) -> Candidate:
    """*candidate*, or a copy where that very object stands among *others*: a view tells sources by object."""
    return attrs.evolve(candidate) if any(candidate is other for other in others) else candidate


def check_key(key: object) -> None:
    if not isinstance(key, Key):
        raise PluginError(f"{key!r} is not a Key", hint='write Key.of("adapter", "cache")')
