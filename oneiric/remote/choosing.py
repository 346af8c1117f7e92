"""Who verifies a stream: chosen by its name in the settings, and by nothing else."""

from __future__ import annotations

from collections.abc import Iterable

from oneiric_hookspecs import Problem, SettingsError, Verifier

from oneiric.hooks import Answer
from oneiric.hooks.choosing import choose_one


def choose_verifier(stream: str, name: str, declared: Iterable[Answer], where: str | None = None) -> Verifier:
    """The verifier of that name.

    Args:
        stream: Whose.
        name: ``[remote.STREAM] verifier``.
        declared: What plugins declare by ``oneiric_verifiers``.
        where: Where the settings say so, for errors.
    Raises:
        SettingsError: No plugin brings it, or more than one, of which neither is chosen.
    """

    def refuse(message: str, hint: str) -> SettingsError:
        return SettingsError([Problem(f"remote.{stream}.verifier", message, where, hint)])

    found: Verifier = choose_one(declared, name, of="name", what=f"a verifier {name!r}", refuse=refuse).value
    return found
