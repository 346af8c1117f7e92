"""The order: explicit selection, then priority, then stack level, then registration, of which the latest wins.

Reasons and remedies are worked out, and put into words, when somebody looks; resolving needs the winner alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import attrs
from oneiric_hookspecs import Candidate, Decision, Request, Row, View, hookimpl
from oneiric_hookspecs.resolution import Tier


@hookimpl(trylast=True)
def oneiric_resolve(request: Request, candidates: Sequence[Candidate], view: View) -> Decision:
    return _Ranked(request, candidates, view)


def _pool(candidates: Sequence[Candidate], view: View) -> Sequence[Candidate]:
    selection = view.selection
    if selection is None:
        return candidates
    return [candidate for candidate in candidates if candidate.provider == selection.provider]


def _best(candidates: Sequence[Candidate], view: View) -> Candidate | None:
    best, highest, level = None, 0, 0
    inherits = bool(view.stack_order)
    for candidate in candidates:
        priority = candidate.priority
        if priority is None:
            priority = view.priority(candidate) if inherits else 0
        if (
            best is None
            or priority > highest
            or (priority == highest and candidate.stack_level >= level)  # as high, and later
        ):
            best, highest, level = candidate, priority, candidate.stack_level
    return best


class Step(NamedTuple):
    """A part of what would make a candidate win.

    Args:
        kind: ``priority above``, ``priority at least``, ``stack level above``, ``stack level at least``: what the
            candidate would need; ``selection`` (by pin or settings), ``pin``, ``call``: what its provider would.
        value: The number, or the provider.
    """

    kind: str
    value: int | str

    def __str__(self) -> str:
        return _STEPS.get(self.kind, self.kind + " {}").format(self.value)


_STEPS = {"selection": "a pin or selection of {}", "pin": "a pin of {}", "call": "a call for {}"}
# What goes above a selection depends on whose it is; that of a plugin is asked for only where nobody else chose.
_STRONGER = {"the call": "call", "a pin": "pin"}


@attrs.define(eq=False)  # not frozen: many are made, few are looked at
class Remedy:
    """What would make a candidate win, and no less."""

    _ranked: _Ranked
    _candidate: Candidate

    @property
    def steps(self) -> tuple[Step, ...]:
        """All of them together make it win."""
        candidate, view, candidates = self._candidate, self._ranked.view, self._ranked.candidates
        selection = view.selection
        first: tuple[Step, ...] = ()
        rivals = self._ranked.pool
        if selection is not None and candidate.provider != selection.provider:
            first = (Step(_STRONGER.get(selection.by, "selection"), candidate.provider),)
            rivals = [other for other in candidates if other.provider == candidate.provider]
        best = _best(rivals, view)
        if best is None or best is candidate:
            return first
        later = _place(candidate, candidates) > _place(best, candidates)
        mine, other = view.priority(candidate), view.priority(best)
        level, limit = candidate.stack_level, best.stack_level
        # Only what lies below decides whether to be level is enough.
        if mine < other:
            word = "at least" if (level, later) > (limit, False) else "above"
            return (*first, Step(f"priority {word}", other))
        return (*first, Step(f"stack level {'at least' if later else 'above'}", limit))

    def __str__(self) -> str:
        return " and ".join(map(str, self.steps))


@attrs.define(eq=False)  # not frozen: many are made, few are looked at
class Why:
    """Why a candidate did not win, against the one that did."""

    _ranked: _Ranked
    _candidate: Candidate
    _tier: Tier

    def __str__(self) -> str:
        candidate, view = self._candidate, self._ranked.view
        tier, best = self._tier, self._ranked.winner
        if tier == "selection":
            selection = view.selection
            assert selection is not None
            return f"not {selection.provider}, which is selected by {selection.by}"
        assert best is not None
        name = self._named(best)
        if tier == "priority":
            return f"priority {view.priority(candidate)} < {view.priority(best)} of {name}"
        if tier == "stack level":
            return f"stack level {candidate.stack_level} < {best.stack_level} of {name}"
        if candidate.provider == best.provider and view.source(candidate) == view.source(best):
            return f"version {candidate.version or 'unknown'} < {best.version or 'unknown'}"
        return f"registered before {name}"

    def _named(self, best: Candidate) -> str:
        """The winner, so that it cannot be taken for the loser."""
        candidate, source = self._candidate, self._ranked.view.source(best)
        if candidate.provider != best.provider:
            return best.provider
        if candidate.version != best.version and best.version is not None:
            return f"{best.provider} {best.version}"
        return f"{best.provider} from {source.name}"


@attrs.define(eq=False)  # not frozen: many are made, few are looked at
class Because:
    """Why the winner won: the selection, and what set it apart from the next best."""

    _ranked: _Ranked

    def __str__(self) -> str:
        ranked = self._ranked
        selection, winner = ranked.view.selection, ranked.winner
        assert winner is not None
        if selection is None:
            return "the only candidate" if len(ranked.pool) == 1 else self._apart(winner)
        chosen = f"selected by {selection.by}" + (f" ({selection.reason})" if selection.reason else "")
        return chosen if len(ranked.pool) == 1 else f"{chosen}; of its candidates, {self._apart(winner)}"

    def _apart(self, winner: Candidate) -> str:
        view, other = self._ranked.view, self._ranked.next_best()
        assert other is not None
        priority = view.priority(winner)
        if view.priority(other) != priority:
            return f"highest priority ({priority})"
        if other.stack_level != winner.stack_level:
            return f"highest stack level ({winner.stack_level})"
        if other.provider == winner.provider and view.source(other) == view.source(winner):
            return f"highest version ({winner.version})"
        return "registered last"


class _Ranked(Decision):
    """A decision that ranks the others when its rows are looked at."""

    __slots__ = ("candidates", "view")

    candidates: Sequence[Candidate]
    view: View
    error = None
    by = ""
    faults = ()

    def __init__(self, request: Request, candidates: Sequence[Candidate], view: View) -> None:
        put = object.__setattr__  # it is frozen
        put(self, "request", request)
        put(self, "winner", _best(candidates if view.selection is None else _pool(candidates, view), view))
        put(self, "candidates", candidates)
        put(self, "view", view)

    @property
    def revision(self) -> int:
        return self.view.revision

    @property
    def pool(self) -> Sequence[Candidate]:
        """Those among whom the order decides."""
        return _pool(self.candidates, self.view)

    @property
    def because(self) -> object:
        return "" if self.winner is None else Because(self)

    @property
    def rows(self) -> tuple[Row, ...]:
        winner, view, candidates = self.winner, self.view, self.candidates
        source, priority = view.source, view.priority
        selection = view.selection
        provider = None if selection is None else selection.provider
        strong_first = sorted(
            [
                (
                    selection is None or candidate.provider == provider,
                    priority(candidate),
                    candidate.stack_level,
                    place,
                )
                for place, candidate in enumerate(candidates)
            ],
            reverse=True,
        )
        rows = []
        _, limit, level, _ = (
            strong_first[0] if strong_first else (True, 0, 0, 0)
        )  # the winner's, where there is one
        for chosen, height, own_level, place in strong_first:
            candidate = candidates[place]
            if candidate is winner:
                continue
            tier: Tier = "registration order"
            if winner is None or not chosen:
                tier = "selection"
            elif height != limit:
                tier = "priority"
            elif own_level != level:
                tier = "stack level"
            why, remedy = Why(self, candidate, tier), Remedy(self, candidate)
            rows.append(Row(candidate, "shadowed", tier, why, remedy, source(candidate)))
        if winner is not None:
            # What set it apart from the next best is what the next best lacks.
            won_by: Tier = "only one" if not rows else rows[0].tier
            if selection is not None:
                won_by = "selection"
            rows.insert(0, Row(winner, "selected", won_by, Because(self), "", source(winner)))
        return tuple(rows)

    def next_best(self) -> Candidate | None:
        """Who would win if the winner were not there."""
        return _best([candidate for candidate in self.pool if candidate is not self.winner], self.view)


def _place(candidate: Candidate, candidates: Sequence[Candidate]) -> int:
    return next(place for place, other in enumerate(candidates) if other is candidate)
