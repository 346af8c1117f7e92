"""Everything that is registered, as of one revision."""

from __future__ import annotations

import heapq
import types
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
from oneiric_hookspecs import Candidate, Decision, Domain, Identity, Key, Request, Selection, Source

from .shelf import NO_ORDERS, NO_TEXTS, Facts, OnMissing, Outcome, Record, Shelf, equal

if TYPE_CHECKING:
    from .draft import Draft

_FAR = 64  # snapshots between an old one and the newest, from which on it is worth while to bring the way together


@attrs.frozen
class Changed:
    """A key about which two snapshots decide differently.

    Args:
        key: Which.
        before: The decision in the one; None where the key is unknown there.
        after: The decision in the other; None where the key is unknown there.
    """

    key: Key
    before: Decision | None
    after: Decision | None

    @property
    def won(self) -> bool:
        """Whether another candidate wins, or one where there was none, or none where there was one."""
        before = None if self.before is None else self.before.winner
        return not equal(before, None if self.after is None else self.after.winner)


class Snapshot:
    """Everything that is registered, as of one revision.  Immutable; to be read from any thread.

    Attributes:
        revision: Counts changes, from 0.
        facts, past, shelves: Of this package alone, as are ``shelf`` and ``everything``.
    """

    __slots__ = ("facts", "past", "revision", "shelves")

    def __init__(self, shelves: dict[Key, Shelf], revision: int, facts: Facts) -> None:
        self.shelves = shelves
        self.revision = revision
        self.facts = facts
        # What stood here before the next snapshot came, and that snapshot; None while this is the newest.
        self.past: Past | None = None

    def resolve(self, domain: str, name: str) -> Candidate:
        """The candidate that fills the key.

        Raises:
            NoCandidate: Nothing that is registered fits.
            SelectionUnsatisfied: What was selected is not registered, or is left out.
        """
        try:
            shelf = self.shelves[domain, name]  # type: ignore[index]  # a Key is a tuple, and costs a call to make
        except KeyError:
            return self._resolve(Key(domain, name))
        if shelf.revision > self.revision:
            return self._resolve(Key(domain, name))
        winner = shelf.winner
        if winner is None:
            winner = shelf.choose() if shelf.candidates else None
            return winner if winner is not None else self.choose(Request(shelf.key))
        return winner

    def _resolve(self, key: Key) -> Candidate:
        shelf = self.shelf(key)
        winner = None if shelf is None or not shelf.candidates else shelf.choose()
        return winner if winner is not None else self.choose(Request(key))

    def choose(self, request: Request) -> Candidate:
        """The candidate that fills *request*: ``resolve`` for requests with options; no row is made.

        Raises:
            ResolutionError: As ``resolve``.
        """
        outcome = self._outcome(request)
        if outcome.winner is not None:
            return outcome.winner
        error = outcome.decision.error
        assert error is not None, "a decision without a winner has an error"
        raise error.twin()  # Each caller's own: the decision is kept, and its error must not collect tracebacks.

    def decide(self, request: Request) -> Decision:
        """Who fills *request*, why, and why not the others.

        Total: what nobody fills has a decision too, with ``error``.  Pure: the same snapshot and the same request
        give an equal decision.
        """
        return self._outcome(request).decision

    def _outcome(self, request: Request) -> Outcome:
        shelf = self.shelf(request.key)
        if shelf is not None and shelf.candidates:
            if request.provider is None and not request.capabilities:
                return shelf.settle()
            return shelf.decide(request)
        if shelf is None:
            shelf = Shelf(request.key, self.revision, (), (), False, NO_ORDERS, self.facts.world)
        return shelf.decide(request, lambda: self._near(request.key))

    def _near(self, key: Key, limit: int = 400) -> list[str]:
        """The keys that somebody who wrote *key* may have meant; comparing all of very many would take seconds."""
        domain, name = key
        keys = [other for other, shelf in self.everything().items() if shelf.candidates]
        if len(keys) > limit:
            start, size = name[:2], len(name)
            near = [
                other for other in keys if other[1] == name or (other[1][:2] == start and other[0] == domain)
            ]
            if len(near) > limit:
                near = [other for other in near if abs(len(other[1]) - size) < 2]
            keys = near or keys
        return sorted(map(str, heapq.nsmallest(limit, keys)))

    def shelf(self, key: Key) -> Shelf | None:
        """What stood for *key* at this revision."""
        shelf = self.shelves.get(key)
        if (shelf is not None and shelf.revision <= self.revision) or self.past is None:
            return shelf
        steps = 0
        past: Past | None = self.past
        while past is not None:
            changed, snapshot = past
            if key in changed:
                shelf = changed[key]
                break
            past = snapshot.past
            steps += 1
        else:
            shelf = None
        if steps > _FAR:
            self._earlier()
        return shelf

    def _earlier(self) -> Mapping[Key, Shelf | None]:
        """What stood here when this snapshot was the newest, for every key that has changed since."""
        assert self.past is not None
        changed, snapshot = self.past
        past = snapshot.past
        if past is None:
            return changed
        earlier = dict(changed)
        while past is not None:
            changed, snapshot = past
            for key, shelf in changed.items():
                earlier.setdefault(key, shelf)
            past = snapshot.past
        # Kept, so that an old snapshot that is still read does not walk the same way again and again, nor hold all
        # snapshots on the way.
        self.past = (earlier, snapshot)
        return earlier

    def everything(self) -> dict[Key, Shelf]:
        """What stood for each key at this revision, a dict of its own."""
        # Copied in C without calling back, so no writer comes between.  What a writer has half done is undone below: he
        # sets aside what stood here before he begins.
        found = self.shelves.copy()
        if self.past is None:
            return found
        for key, shelf in self._earlier().items():
            if shelf is None:
                found.pop(key, None)
            else:
                found[key] = shelf
        return found

    def keys(self) -> tuple[Key, ...]:
        """The keys that somebody declared a candidate for, sorted."""
        return tuple(sorted(key for key, shelf in self.everything().items() if shelf.candidates))

    def records(self, key: Key) -> tuple[Record, ...]:
        """What is registered for *key*, in registration order; empty where nothing is."""
        shelf = self.shelf(key)
        if shelf is None:
            return ()
        pairs = zip(*shelf.ordered(), strict=True)
        return tuple(Record(candidate, source, place) for place, (candidate, source) in enumerate(pairs))

    def source(self, candidate: Candidate) -> Source:
        """Who declared *candidate*, the object that this snapshot resolved.

        Raises:
            LookupError: It is not registered in this snapshot.
        """
        for record in self.records(candidate.key):
            if record.candidate is candidate:
                return record.source
        raise LookupError(f"{candidate.key} {candidate.provider!r} is not registered")

    @property
    def domains(self) -> Mapping[str, Domain]:
        """The kinds of parts there are, by name."""
        return self.facts.domains

    @property
    def sources(self) -> tuple[Source, ...]:
        """Who has declared something, from low rank to high."""
        return tuple(
            origin.source for origin in sorted(self.facts.origins.values(), key=lambda each: each.rank)
        )

    @property
    def stack_order(self) -> Mapping[str, int]:
        """Priorities by package."""
        return self.facts.world.stack_order

    @property
    def selections(self) -> Mapping[Key, str]:
        """The providers that the settings select."""
        return self.facts.selections

    @property
    def pins(self) -> Mapping[Key, Selection]:
        """The providers that operators pinned."""
        return self.facts.pins

    def quarantine(self, key: Key) -> Mapping[Identity, str]:
        """Why candidates of *key* are left out for now, by identity."""
        shelf = self.shelf(key)
        return NO_TEXTS if shelf is None else shelf.orders.quarantine

    def what_if(
        self,
        *,
        withdraw: Iterable[str | tuple[str, Key] | tuple[str, Key, str]] = (),
        add: tuple[Source, Iterable[Candidate]] | None = None,
        order: int = 0,
        pins: Mapping[Key, str | None] = types.MappingProxyType({}),
        selections: Mapping[Key, str] | None = None,
        on_missing: OnMissing | None = None,
        stack_order: Mapping[str, int] | None = None,
    ) -> Snapshot:
        """A snapshot in which this would be so.  Nothing is published, and this snapshot stays as it is.

        Args:
            withdraw: Sources; or (source, key), or (source, key, provider).  Done first, so that naming a source here
                and in *add* replaces it whole.
            add: A source and what it would declare besides what it has declared.
            order: The source's place among streams.
            pins: Providers by key; None takes a pin away.  Pins of other keys stay.
            selections: All the selections of the settings; None leaves them.
            on_missing: What a selection means that names nothing registered; None leaves it.
            stack_order: Priorities by package; None leaves them.
        Raises:
            PluginError: A candidate could not be registered.
        """
        from .checking import checked
        from .draft import Draft

        draft = Draft(self, {})
        for what in (withdraw,) if isinstance(withdraw, str) else withdraw:
            name, key, provider = (what, None, None) if isinstance(what, str) else (*what, None)[:3]
            keys = draft.keys_of(name) if key is None else (key,)
            draft.withdraw(name, keys, provider, whole=key is None)
        if add is not None:
            source, candidates = add
            draft.place(draft.origin(source, order), checked(source, candidates, self.facts.domains))
        for key, choice in pins.items():
            draft.pin(key, None if choice is None else Selection(choice, "a pin"))
        if selections is not None or on_missing is not None:
            facts = self.facts
            draft.select(
                facts.selections if selections is None else selections,
                facts.on_missing if on_missing is None else on_missing,
            )
        if stack_order is not None:
            draft.order(stack_order)
        return Supposed(self, draft)

    def compare(self, other: Snapshot) -> tuple[Changed, ...]:
        """The keys about which *other* decides differently, sorted; revisions aside."""
        mine, others = self.everything(), other.everything()
        changed = []
        for key in sorted(mine.keys() | others.keys()):
            before, after = mine.get(key), others.get(key)
            if before is not after:
                one = Changed(key, decision(before), decision(after))
                if not same_decision(one.before, one.after):
                    changed.append(one)
        return tuple(changed)


Past = tuple[Mapping[Key, Shelf | None], Snapshot]


def decision(shelf: Shelf | None) -> Decision | None:
    return shelf.settle().decision if shelf is not None and shelf.candidates else None


def winner(shelf: Shelf | None) -> Candidate | None:
    return shelf.choose() if shelf is not None and shelf.candidates else None


def same_decision(one: Decision | None, other: Decision | None) -> bool:
    if one is None or other is None:
        return one is other
    if not equal(one.winner, other.winner) or str(one.error) != str(other.error):
        return False
    return attrs.evolve(one, revision=0) == attrs.evolve(other, revision=0)


class Layer(dict[Key, Shelf]):
    """Shelves that would be others, above those of a snapshot."""

    def __init__(self, changed: Mapping[Key, Shelf], base: Snapshot) -> None:
        super().__init__(changed)
        self.base = base

    def __missing__(self, key: Key) -> Shelf:
        shelf = self.base.shelf(Key(*key))
        if shelf is None:
            raise KeyError(key)
        return shelf

    def get(self, key: Key, default: Any = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return default

    def copy(self) -> dict[Key, Shelf]:
        return self.base.everything() | self


class Supposed(Snapshot):
    """What would be, in answer to ``what_if``."""

    __slots__ = ()

    def __init__(self, base: Snapshot, draft: Draft) -> None:
        super().__init__(Layer(draft.changed, base), draft.revision, draft.facts)
