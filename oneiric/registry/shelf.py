"""What stands for one key, and what was decided about it."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, Protocol

import attrs
from oneiric_hookspecs import (
    Candidate,
    Decision,
    Domain,
    Identity,
    Key,
    Markers,
    Request,
    Selection,
    Source,
    View,
)

OnMissing = Literal["error", "fallback"]

NO_TEXTS: Final[Mapping[Any, str]] = types.MappingProxyType({})


class Outcome(Protocol):
    """What a resolver makes of a request: the winner at once, the whole decision when somebody looks."""

    @property
    def winner(self) -> Candidate | None:
        """Who fills the request; None where nobody does."""

    @property
    def decision(self) -> Decision:
        """Who, why, and why not the others; ``error`` is set where there is no winner."""


class Resolver(Protocol):
    """Decides; see ``oneiric.resolution``.  A pure function that never raises."""

    def __call__(
        self,
        request: Request,
        candidates: Sequence[Candidate],
        view: View,
        known: Callable[[], Iterable[str]],
    ) -> Outcome:
        """Decide *request* among *candidates*, which stand in registration order.

        Args:
            request: What is wanted.
            candidates: All that are registered for the key.
            view: What deciding may see.
            known: Gives the keys that could have been meant; asked only where nothing is registered.
        """


class Record(NamedTuple):
    """A candidate as it is registered.

    Args:
        candidate: What was declared.
        source: By whom.
        sequence: Its place in the registration order of its key, from 0; the highest wins where all else is equal.
    """

    candidate: Candidate
    source: Source
    sequence: int


@attrs.frozen
class Origin:
    """A source, and where it ranks among the others."""

    source: Source
    rank: tuple[int, int, str, str]
    alone: tuple[Source]


@attrs.frozen
class World:
    """What deciding may see beyond its key."""

    resolver: Resolver
    markers: Markers
    stack_order: Mapping[str, int]


@attrs.frozen
class Facts:
    """What a snapshot knows beside its shelves."""

    world: World
    domains: Mapping[str, Domain]
    origins: Mapping[str, Origin]
    seniority: Mapping[str, int]
    selections: Mapping[Key, str]
    on_missing: OnMissing
    pins: Mapping[Key, Selection]


@attrs.frozen
class Orders:
    """What people ordered about one key."""

    selection: Selection | None = None
    on_missing: OnMissing = "error"
    pin: Selection | None = None
    quarantine: Mapping[Identity, str] = NO_TEXTS


NO_ORDERS: Final = Orders()


class _Sources(Mapping[int, Source]):
    """Who declared each candidate, by id; worked out when somebody asks, as most decisions do not."""

    __slots__ = ("_candidates", "_found", "_sources")

    def __init__(self, candidates: Sequence[Candidate], sources: Sequence[Source]) -> None:
        self._candidates, self._sources = candidates, sources
        self._found: dict[int, Source] | None = None

    def _all(self) -> dict[int, Source]:
        found = self._found = dict(zip(map(id, self._candidates), self._sources, strict=True))
        return found

    def __getitem__(self, item: int) -> Source:
        return (self._found or self._all())[item]

    def get(self, item: int, default: Any = None) -> Any:
        return (self._found or self._all()).get(item, default)

    def __iter__(self) -> Iterator[int]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._candidates)


class Shelf:
    """What is registered for one key, in order of declaration, and what was decided about it.

    Immutable but for ``outcome`` and ``winner``, which the first reader fills in.  Deciding is pure, so two readers
    that race fill in the same.
    """

    __slots__ = ("candidates", "key", "mixed", "orders", "outcome", "revision", "sources", "winner", "world")

    def __init__(
        self,
        key: Key,
        revision: int,
        candidates: tuple[Candidate, ...],
        sources: tuple[Source, ...],
        mixed: bool,
        orders: Orders,
        world: World,
    ) -> None:
        self.key = key
        self.revision = revision
        self.candidates = candidates
        self.sources = sources
        self.mixed = mixed  # whether some source has several versions of one provider here
        self.orders = orders
        self.world = world
        self.outcome: Outcome | None = None
        self.winner: Candidate | None = None

    def ordered(self) -> tuple[tuple[Candidate, ...], tuple[Source, ...]]:
        """Candidates and their sources in registration order, the one that wins ties last."""
        if not self.mixed:
            return self.candidates, self.sources
        return in_order(self.candidates, self.sources)

    def view(self, request: Request, ordered: Sequence[Candidate], sources: Sequence[Source]) -> View:
        """What deciding *request* may see."""
        orders, world = self.orders, self.world
        if orders is NO_ORDERS and request.provider is None:
            return View(
                self.revision,
                None,
                "error",
                NO_TEXTS,
                world.stack_order,
                world.markers,
                _Sources(ordered, sources),
            )
        on_missing: OnMissing = "error"
        if request.provider is not None:
            selection: Selection | None = Selection(request.provider, "the call")
        elif orders.pin is not None:
            selection = orders.pin
        else:
            selection, on_missing = orders.selection, orders.on_missing
        return View(
            revision=self.revision,
            selection=selection,
            on_missing=on_missing,
            quarantine=orders.quarantine,
            stack_order=world.stack_order,
            markers=world.markers,
            sources=_Sources(ordered, sources),
        )

    def decide(self, request: Request, known: Callable[[], Iterable[str]] = tuple) -> Outcome:
        ordered, sources = self.ordered()
        return self.world.resolver(request, ordered, self.view(request, ordered, sources), known)

    def choose(self) -> Candidate | None:
        """Who fills the key, for a request without options; None where nobody does."""
        if self.winner is None and self.outcome is None:
            # All but the winner is let go: it would take as much room as the candidate, for every key that is used,
            # and deciding is pure.
            self.winner = self.decide(Request(self.key)).winner
        return self.winner

    def settle(self) -> Outcome:
        """The decision about the key, for a request without options."""
        outcome = self.outcome
        if outcome is None:
            outcome = self.decide(Request(self.key))
            self.winner = outcome.winner
            self.outcome = outcome  # after the winner: who finds an outcome and no winner believes it
        return outcome


@functools.lru_cache(4096)
def version_rank(version: str | None) -> tuple[int, Any]:
    """A place among the versions of one provider: none, then what is no version, then versions as PEP 440 has them."""
    from packaging.version import InvalidVersion, Version

    if version is None:
        return (0, 0)
    try:
        return (2, Version(version))
    except InvalidVersion:
        return (1, version)


def in_order(
    candidates: Sequence[Candidate], sources: Sequence[Source]
) -> tuple[tuple[Candidate, ...], tuple[Source, ...]]:
    """Bring several versions of one provider in one source together, the highest last.

    They stand where the last declared of them stands.  Declared redis 2, memory, redis 1, the order is memory,
    redis 1, redis 2: the provider declared last wins ties, and of a provider its highest version.
    """
    last: dict[tuple[str, str], int] = {}
    runs: dict[str, int] = {}
    for place, (candidate, source) in enumerate(zip(candidates, sources, strict=True)):
        runs.setdefault(source.name, place)
        last[source.name, candidate.provider] = place
    places = sorted(
        range(len(candidates)),
        key=lambda place: (
            runs[sources[place].name],
            last[sources[place].name, candidates[place].provider],
            version_rank(candidates[place].version),
            place,
        ),
    )
    return tuple(candidates[place] for place in places), tuple(sources[place] for place in places)


def equal(one: Candidate | None, other: Candidate | None) -> bool:
    """Whether they differ in nothing, the fields that equality leaves out included."""
    if one is other or one is None or other is None:
        return one is other
    return (
        one == other
        and one.factory == other.factory
        and one.health == other.health
        and one.close == other.close
    )
