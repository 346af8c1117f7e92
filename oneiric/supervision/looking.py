"""What a decision about a restart looks at: settings, who wins, and what operators impose."""

from __future__ import annotations

from oneiric_hookspecs import Candidate, Identity, Key, OneiricError, Request, RestartPolicy

from oneiric.activation import Generation
from oneiric.runtime import Runtime

from .trouble import Trouble


class Looking:
    """Looks at one runtime; changes nothing."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime, self._engine = runtime, runtime.engine("supervision")

    def policy(self, key: Key) -> RestartPolicy:
        """The settings' for *key*, as they are now."""
        section = self._runtime.settings.restart
        return section.keys.get(str(key), section).policy

    def mode(self, key: Key) -> str | None:
        """What an operator has imposed on *key*."""
        return self._engine.administration.activity(key).mode

    def may(self, key: Key) -> bool:
        """Whether it may be started again: not while an operator holds it, nor while probation decides about it."""
        return self.mode(key) is None and self._engine.slot(key).probation is None

    def winner(self, key: Key) -> Candidate | None:
        """Who fills *key* now; None where nobody does."""
        return self._runtime.snapshot.decide(Request(key)).winner

    def same(self, key: Key, provider: str) -> str | None:
        """*provider*, where it can still be had; None, which is the winner, where it was left out or withdrawn."""
        found = self._runtime.snapshot.decide(Request(key, provider)).winner
        return None if found is None else provider

    def note(self, trouble: Trouble) -> None:
        """Note what *trouble* came of: who wins, what is written for that one, and the policy."""
        trouble.against, trouble.policy = self.winner(trouble.key), self.policy(trouble.key)
        trouble.written = self.written(trouble)

    def written(self, trouble: Trouble) -> str:
        """The settings of what failed, as they are written now."""
        generation, winner = trouble.generation, trouble.against
        candidate = winner if generation is None else generation.candidate
        try:
            return (
                "" if candidate is None else self._runtime.settings.written(trouble.key, candidate.provider)
            )
        except OneiricError:
            return ""

    def left_out(self, key: Key, identity: Identity) -> bool:
        """Whether that candidate is left out now."""
        return identity in self._runtime.snapshot.quarantine(key)

    def failed(self, trouble: Trouble) -> Identity | None:
        """Which candidate failed: what is bound, unless that was left out before; else who wins."""
        generation, snapshot = trouble.generation, self._runtime.snapshot
        if generation is not None and not self.left_out(trouble.key, identity_of(generation)):
            return identity_of(generation)
        winner = self.winner(trouble.key)
        return None if winner is None else (snapshot.source(winner).name, winner.provider, winner.version)

    def alternatives(self, trouble: Trouble) -> bool:
        """Whether another candidate would win if the one that failed were left out."""
        rows = self._runtime.snapshot.decide(Request(trouble.key)).rows
        failed = self.failed(trouble)
        # What was chosen by name has no others.
        if failed is None or any(row.standing == "selected" and row.tier == "selection" for row in rows):
            return False
        return any(
            row.standing != "excluded"
            and (row.source.name, row.candidate.provider, row.candidate.version) != failed
            for row in rows
        )


def identity_of(generation: Generation) -> Identity:
    """What the candidate of *generation* is known by."""
    return (generation.source.name, generation.provider, generation.candidate.version)
