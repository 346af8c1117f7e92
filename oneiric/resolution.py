"""A request becomes a decision, with reasons.  Pure.

The steps are three, each a hook: what may not be considered is left out (``oneiric_check_eligible``), a provider may be
preferred where nobody chose one (``oneiric_select``), and one of the rest is chosen (``oneiric_resolve``).  What the
plugins answer is held to the rules here: a winner is one of the candidates it was chosen from, and of the provider that
call, pin or settings name; every candidate has a row; where nobody wins there is an error that says why.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import attrs
from oneiric_hookspecs import (
    Candidate,
    Decision,
    Markers,
    NoCandidate,
    Objection,
    OneiricError,
    Request,
    ResolutionError,
    Row,
    Selection,
    SelectionUnsatisfied,
    View,
)
from oneiric_hookspecs.specs import oneiric_check_eligible, oneiric_resolve, oneiric_select

if TYPE_CHECKING:
    from .hooks import HookManager


class Answer(Protocol):
    """An answer, and whose."""

    @property
    def plugin(self) -> str: ...
    @property
    def value(self) -> Any: ...


class Judges(Protocol):
    """The hook that leaves candidates out."""

    @property
    def impls(self) -> Sequence[Any]: ...
    def __call__(self, candidate: Candidate, request: Request, view: View) -> Sequence[Objection]: ...


class Decides(Protocol):
    """A hook that chooses."""

    @property
    def impls(self) -> Sequence[Any]: ...
    def decide(
        self, request: Request, candidates: Sequence[Candidate], view: View
    ) -> tuple[Answer | None, Sequence[object]]: ...


@attrs.frozen
class Strategy:
    """The hooks that take part in deciding."""

    check_eligible: Judges
    select: Decides
    resolve: Decides

    @classmethod
    def of(cls, manager: HookManager) -> Strategy:
        """The strategy of a manager's plugins, as they are registered at each decision."""
        check_eligible = manager[oneiric_check_eligible]
        return cls(check_eligible, manager[oneiric_select], manager[oneiric_resolve])


class Resolver:
    """Decides by a strategy; what a ``Registry`` is made with."""

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy

    def __call__(
        self,
        request: Request,
        candidates: Sequence[Candidate],
        view: View,
        known: Callable[[], Iterable[str]] = tuple,
    ) -> Ruling:
        """Decide *request* among *candidates*; see ``registry.Resolver``.  Never raises."""
        excluded = self._left_out(request, candidates, view)
        eligible = candidates
        if excluded:
            eligible = tuple(candidate for candidate in candidates if id(candidate) not in excluded)
        ruling = Ruling(self, request, candidates, eligible, excluded, view, known)
        try:
            self._rule(ruling)
        except ResolutionError as error:
            ruling.refusal = error.twin()  # The plugin's own may be one object for ever.
        except OneiricError as error:
            # It ended the asking, and is no answer to the question.
            ruling.faults += (str(error),)
        return ruling

    def _left_out(
        self, request: Request, candidates: Sequence[Candidate], view: View
    ) -> dict[int, Sequence[Objection]]:
        """What is objected to each candidate that may not be considered, by id."""
        check = self.strategy.check_eligible
        left_out: dict[int, Sequence[Objection]] = {}
        asks = [impl.ask for impl in check.impls]
        if not asks:
            return left_out
        first, *others = asks
        for candidate in candidates:
            # Most judges have nothing to say on most candidates, and can be asked without ceremony.  Where one has,
            # or fails, the hook asks again, and knows what to make of it; judges are pure.
            try:
                if first(candidate, request, view) is None:
                    for ask in others:
                        if ask(candidate, request, view) is not None:
                            break
                    else:
                        continue
            except Exception:
                pass
            said = check(candidate, request, view)
            if said:
                left_out[id(candidate)] = said
        return left_out

    def _rule(self, ruling: Ruling) -> None:
        request, eligible, strategy = ruling.request, ruling.eligible, self.strategy
        selection = ruling.view.selection
        if selection is None:
            if eligible and strategy.select.impls:
                answer, faults = strategy.select.decide(request, eligible, ruling.view)
                ruling.faults += tuple(map(str, faults))
                if answer is not None:
                    selection = attrs.evolve(answer.value, by=answer.plugin)
                    ruling.view = attrs.evolve(ruling.view, selection=selection)
        elif ruling.view.on_missing == "fallback" and not ruling.registered(selection.provider):
            ruling.passed_over = selection
            ruling.view = attrs.evolve(ruling.view, selection=None)
            selection = None
        answered, by, faults = _first(strategy.resolve, request, eligible, ruling.view)
        if faults:
            ruling.faults += tuple(map(str, faults))
        ruling.answer, ruling.by = answered, by
        winner = None if answered is None else answered.winner
        if winner is None:
            return
        for candidate in reversed(eligible):
            if candidate is winner:
                break
        else:
            what = f"{winner.key} {winner.provider!r}, which is not among the candidates"
            ruling.faults += (f"{by} chose {what}",)
            return
        if selection is not None and winner.provider != selection.provider:
            # Whoever replaces the strategy replaces the order, not the operator.
            ruling.faults += (f"{by} chose {winner.provider!r}, but {_whose(selection)}",)
            return
        ruling.winner = winner


def _first(
    hook: Decides, request: Request, candidates: Sequence[Candidate], view: View
) -> tuple[Decision | None, str, Sequence[object]]:
    """The first answer, whose, and what went wrong before: as ``hook.decide``, without its ceremony if nothing did."""
    for impl in hook.impls:
        try:
            value = impl.ask(request, candidates, view)
        except OneiricError:
            raise
        except Exception:
            break  # the hook will tell whose fault it is
        if isinstance(value, Decision):
            return value, impl.plugin, ()
        if value is not None:
            break
    answer, faults = hook.decide(request, candidates, view)
    return (None, "", faults) if answer is None else (answer.value, answer.plugin, faults)


class Ruling:
    """What a resolver makes of a request: the winner, and all that the whole decision can be told from.

    Most of the time only the winner is wanted, so rows and errors are made when the decision is first asked for.
    """

    answer: Decision | None = None
    by = ""
    faults: tuple[str, ...] = ()
    passed_over: Selection | None = None
    refusal: ResolutionError | None = None
    winner: Candidate | None = None
    _decision: Decision | None = None

    def __init__(
        self,
        resolver: Resolver,
        request: Request,
        candidates: Sequence[Candidate],
        eligible: Sequence[Candidate],
        excluded: Mapping[int, Sequence[Objection]],
        view: View,
        known: Callable[[], Iterable[str]],
    ) -> None:
        self.resolver = resolver
        self.request = request
        self.candidates = candidates
        self.eligible = eligible
        self.excluded = excluded
        self.view = view
        self.known = known

    def registered(self, provider: str) -> bool:
        return any(candidate.provider == provider for candidate in self.candidates)

    @property
    def decision(self) -> Decision:
        """The whole decision, always the same object."""
        decision = self._decision
        if decision is None:
            decision = self._decision = self._decide()
        return decision

    def _decide(self) -> Decision:
        if self.winner is not None:
            return Decision(
                self.request,
                self.winner,
                self.because,
                self.rows,
                self.view.revision,
                by=self.by,
                faults=self.faults,
            )
        rows = self.rows()
        error = self._error(rows)
        decision = Decision(self.request, None, "", rows, self.view.revision, error, self.by, self.faults)
        if error.decision is None:
            error.decision = decision
        return decision

    @property
    def because(self) -> object:
        """The sentence about the winner."""
        because: object = "" if self.answer is None else self.answer.because
        return because if self.passed_over is None else _PassedOver(self.passed_over, because)

    def rows(self) -> tuple[Row, ...]:
        """A row for each candidate: the winner, the others as the strategy has them, those left out."""
        answer, view, winner = self.answer, self.view, self.winner
        source, get = view.source, view.sources.get
        told = () if answer is None else answer.rows
        if (
            told
            and len({id(row.candidate) for row in told}) == len(told) == len(self.candidates)
            and told[0].candidate is winner
            and all(
                row.source is get(id(row.candidate))
                and (row.standing == "selected") is (row.candidate is winner)
                for row in told
            )
        ):
            return told  # nobody is left out, everybody is told, in order, and by whom declared
        by_id = {id(row.candidate): row for row in told}
        eligible = {id(candidate): candidate for candidate in reversed(self.eligible)}
        strong_first = {item: eligible[item] for item in by_id if item in eligible} | eligible
        first: list[Row] = []
        rest: list[Row] = []
        for item, candidate in strong_first.items():
            won = candidate is winner
            row = by_id.get(item)
            if row is None or (row.standing == "selected") is not won:
                why = (
                    answer.because if won and answer is not None else ""
                ) or f"not chosen by {self.by or 'anybody'}"
                row = Row(candidate, "selected" if won else "shadowed", "plugin", why)
            (first if won else rest).append(attrs.evolve(row, source=source(candidate)))
        for candidate in reversed(self.candidates):
            if id(candidate) in self.excluded:
                said = self.excluded[id(candidate)]
                remedy = _Lift(self, candidate, said)
                rest.append(Row(candidate, "excluded", "excluded", _joined(said), remedy, source(candidate)))
        return (*first, *rest)

    def _error(self, rows: Sequence[Row]) -> ResolutionError:
        key, selection = self.request.key, self.view.selection
        if self.refusal is not None:
            return self.refusal
        if self.answer is not None and self.answer.error is not None:
            return self.answer.error.twin()
        if not self.candidates:
            return NoCandidate(key, known=self.known())
        if selection is not None:
            reasons = [row.reason for row in rows if row.candidate.provider == selection.provider]
            return SelectionUnsatisfied(
                key,
                selection.provider,
                by=selection.by,
                registered=dict.fromkeys(candidate.provider for candidate in self.candidates),
                because="; ".join(dict.fromkeys(reasons)) or None,
            )
        return NoCandidate(key, left_out=[f"{row.candidate.provider}: {row.reason}" for row in rows])

    def supposed(self, candidate: Candidate) -> Row | None:
        """The row of a candidate that is left out, if it were not."""
        eligible = tuple(
            each for each in self.candidates if each is candidate or id(each) not in self.excluded
        )
        try:
            answer, _ = self.resolver.strategy.resolve.decide(self.request, eligible, self.view)
        except OneiricError:
            return None
        rows = () if answer is None else answer.value.rows
        return next((row for row in rows if row.candidate is candidate), None)


def _joined(said: Iterable[Objection]) -> str:
    return "; ".join(map(str, said))


def _whose(selection: Selection) -> str:
    return f"{selection.provider!r} is set by {selection.by}"


@attrs.frozen
class _PassedOver:
    """Why the winner won, where a selection named nothing registered and that was allowed."""

    selection: Selection
    because: object

    def __str__(self) -> str:
        selection = self.selection
        return f"{self.because}; {selection.provider}, set by {selection.by}, is not registered"


@attrs.frozen(eq=False)
class _Lift:
    """What would make a candidate win that is left out: what lifts the objections, and what it then takes to win."""

    ruling: Ruling
    candidate: Candidate
    said: Sequence[Objection]

    @property
    def lifts(self) -> tuple[str, ...]:
        """What would lift each objection; empty where one cannot be lifted."""
        # A reason may be a text that knows what would lift it; see ``plugins/eligibility.py``.
        lifts = tuple(objection.remedy for objection in self.said)
        return lifts if all(lifts) else ()

    @property
    def then(self) -> object:
        """What would make it win if it were not left out; empty where it then wins, or nothing would."""
        row = self.ruling.supposed(self.candidate)
        return "" if row is None else row.remedy

    def __str__(self) -> str:
        lifts = self.lifts
        return " and ".join([*lifts, *filter(None, [str(self.then)])]) if lifts else ""


# --- what deciding may see --------------------------------------------------------------------------------------


class _Installed(Mapping[str, str]):
    """Versions of the distributions of this interpreter by normalised name, each looked up when first asked."""

    def __init__(self) -> None:
        self._found: dict[str, str | None] = {}

    def __getitem__(self, name: str) -> str:
        from importlib import metadata

        if name not in self._found:
            try:
                self._found[name] = metadata.version(name)
            except (metadata.PackageNotFoundError, ValueError):
                self._found[name] = None
        version = self._found[name]
        if version is None:
            raise KeyError(name)
        return version

    def __iter__(self) -> Iterator[str]:
        from importlib import metadata

        from packaging.utils import canonicalize_name

        names = {canonicalize_name(each.name) for each in metadata.distributions() if each.name}
        return iter(sorted(names))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def markers() -> Markers:
    """What this interpreter is."""
    return Markers(sys.platform, ".".join(map(str, sys.version_info[:3])), _Installed())
