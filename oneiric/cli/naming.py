"""What words of the command line stand for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from oneiric_hookspecs import Decision, OneiricError, Row, a_few, nearest

if TYPE_CHECKING:
    from oneiric_hookspecs import Candidate

    from oneiric.runtime import Runtime


class NoSuch(OneiricError):
    """There is no such thing; ``known`` are those there are."""

    exit_code = 3

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        known = tuple(known)
        near = nearest(name, known)
        super().__init__(
            f"there is no {what} {name}",
            hint=f"did you mean {near}?" if near else f"there are: {a_few(known)}",
        )
        self.what, self.name, self.known = what, name, known


def domain_of(runtime: Runtime, word: str) -> str:
    """The domain of *word*, its name or its plural.

    Raises:
        NoSuch: There is none.
    """
    domains = runtime.snapshot.domains
    for domain in domains.values():
        if word in (domain.name, domain.plural):
            return domain.name
    raise NoSuch("domain", word, domains)


def candidate(row: Row) -> dict[str, Any]:
    """A row of a decision as plain data."""
    one = row.candidate
    return {
        "provider": one.provider,
        "version": one.version,
        "standing": row.standing,
        "tier": row.tier,
        "reason": row.reason,
        "would_win_if": row.would_win_if or None,
        "source": row.source.name,
        "origin": row.source.kind,
        "distribution": row.source.distribution,
        "priority": one.priority,
        "stack_level": one.stack_level,
        "capabilities": sorted(one.capabilities),
        "summary": one.summary,
        "published": _published(one) if row.source.kind == "stream" else None,
    }


def _published(one: Candidate) -> dict[str, Any]:
    """What the publisher of a stream says about a candidate."""
    said = {name: one.metadata.get(name) for name in ("owner", "license", "docs", "labels")}
    artifact = one.artifact
    return {
        **said,
        "settings": one.settings,
        "artifact": None
        if artifact is None
        else {"sha256": artifact.sha256, "size": artifact.size, "media_type": artifact.media_type},
    }


def decided(decision: Decision) -> dict[str, Any]:
    """A decision as plain data."""
    error = decision.error
    return {
        "domain": decision.request.key.domain,
        "key": decision.request.key.name,
        "winner": None if decision.winner is None else decision.winner.provider,
        "because": str(decision.because),
        "decided_by": decision.by,
        "error": None if error is None else str(error),
        "faults": list(decision.faults),
        "candidates": [candidate(row) for row in decision.rows],
    }


MARKS = {"selected": "->", "shadowed": "", "excluded": "x"}


def said(row: dict[str, Any]) -> str:
    """The reason of a candidate's row, for people."""
    return f"left out: {row['reason']}" if row["standing"] == "excluded" else str(row["reason"])
