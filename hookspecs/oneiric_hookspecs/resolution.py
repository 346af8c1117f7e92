"""Values of resolving: what is asked, what may be seen, and what was decided and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import attrs

from .candidates import Candidate, Identity, Source
from .errors import ResolutionError
from .keys import Key

Standing = Literal["selected", "shadowed", "excluded"]
Tier = Literal["selection", "priority", "stack level", "registration order", "excluded", "only one", "plugin"]

_APPLICATION = Source("application")


def _said(sentence: object) -> str:
    # Of an object that makes its sentence when asked, that; its own repr would hold all the other rows.
    return repr(str(sentence))


def _texts(given: Iterable[str]) -> frozenset[str]:
    # A lone text is a collection of letters, and never what was meant.
    return frozenset([given] if isinstance(given, str) else given)


@attrs.frozen
class Request:
    """What somebody wants filled.

    Args:
        key: The part.
        provider: The one provider that will do; None leaves it to the order.
        capabilities: What the candidate must be able to do; the others are left out, with the reason.
    """

    key: Key
    provider: str | None = None
    capabilities: frozenset[str] = attrs.field(default=frozenset(), converter=_texts)


@attrs.frozen
class Selection:
    """A choice of a provider, and whose.

    Args:
        provider: The provider.
        by: ``"the call"``, ``"a pin"``, ``"the settings"``; an answer of ``oneiric_select`` gets its plugin's name.
        reason: Why, for explain.
    """

    provider: str
    by: str = ""
    reason: str = ""


@attrs.frozen
class Markers:
    """What this interpreter is, as data.

    Args:
        platform: ``sys.platform``.
        python: The version, ``"3.11.7"``.
        installed: Versions by normalised distribution name; looked up when first asked, and then kept.
    """

    platform: str = ""
    python: str = ""
    installed: Mapping[str, str] = attrs.field(factory=dict, eq=False, repr=False)


@attrs.frozen
class View:
    """The frozen part of the snapshot that resolving one key may see.

    It holds what concerns this key alone, so a change elsewhere can change no decision here.

    Args:
        revision: Of the snapshot in which this key last changed.
        selection: The strongest selection in force, of call, pin and settings; None where there is none.
        on_missing: What a selection that names nothing registered means: ``"error"``, or ``"fallback"``.
        quarantine: Why an identity is left out for now.
        stack_order: Priorities by package.
        markers: What this interpreter is.
        sources: Who declared each candidate, by ``id`` of the candidate; see ``source``.
    """

    revision: int = 0
    selection: Selection | None = None
    on_missing: Literal["error", "fallback"] = "error"
    quarantine: Mapping[Identity, str] = attrs.field(factory=dict)
    stack_order: Mapping[str, int] = attrs.field(factory=dict)
    markers: Markers = attrs.field(factory=Markers)
    sources: Mapping[int, Source] = attrs.field(factory=dict, eq=False, repr=False)

    def source(self, candidate: Candidate) -> Source:
        """Who declared *candidate*."""
        return self.sources.get(id(candidate), _APPLICATION)

    def identity(self, candidate: Candidate) -> Identity:
        """What *candidate* is known by."""
        return (self.source(candidate).name, candidate.provider, candidate.version)

    def priority(self, candidate: Candidate) -> int:
        """The candidate's own priority, else its package's from the stack order, else 0."""
        if candidate.priority is not None:
            return candidate.priority
        source = self.source(candidate)
        order = self.stack_order
        return order.get(source.package, order.get(source.name, order.get(source.distribution or "", 0)))


@attrs.frozen
class Row:
    """What was decided about one candidate.

    Args:
        candidate: Which.
        standing: Whether it won.
        tier: The rule that decided.
        why: The sentence; or an object that makes it when ``str()`` is called, so that resolving formats nothing.
        remedy: What would make it win; empty for the winner, and where nothing would.
        source: Who declared it; filled in by the kernel.
    """

    candidate: Candidate
    standing: Standing
    tier: Tier
    why: object = attrs.field(eq=str, repr=_said)
    remedy: object = attrs.field(default="", eq=str, repr=_said)
    source: Source = _APPLICATION

    @property
    def reason(self) -> str:
        """The sentence, for people."""
        return str(self.why)

    @property
    def would_win_if(self) -> str:
        """What would make it win, for people."""
        return str(self.remedy)


def _made(rows: Any) -> Any:
    return rows() if callable(rows) else rows


@attrs.frozen
class Decision:
    """Who fills a request, and why, and why not the others.

    Args:
        request: What was asked.
        winner: Who fills it; None where nobody does, and then ``error`` says why.
        because: The sentence about the winner; anything with a ``str()``.
        rows: One for each candidate of the key, the winner first and then from strong to weak, the excluded last;
            or what makes them, called when they are first looked at.
        revision: Of the snapshot it was decided on.
        error: Why nobody fills it.
        by: The plugin that decided.
        faults: What went wrong in plugins on the way, one sentence each; they were passed over.
    """

    request: Request
    winner: Candidate | None
    because: object = attrs.field(default="", eq=str, repr=_said)
    _rows: tuple[Row, ...] | Callable[[], tuple[Row, ...]] = attrs.field(
        default=(), alias="rows", eq=_made, repr=lambda rows: repr(_made(rows))
    )
    revision: int = 0
    error: ResolutionError | None = attrs.field(default=None, eq=False)
    by: str = ""
    faults: tuple[str, ...] = ()

    @property
    def rows(self) -> tuple[Row, ...]:
        """One for each candidate of the key: the winner, the others from strong to weak, and the excluded."""
        rows = self._rows
        if callable(rows):
            rows = rows()
            object.__setattr__(self, "_rows", rows)  # pure, so whoever comes second would find the same
        return rows
