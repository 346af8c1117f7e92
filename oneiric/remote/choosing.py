"""Who verifies a stream: chosen by its name in the settings, and by nothing else."""

from __future__ import annotations

from collections.abc import Iterable

from oneiric_hookspecs import Problem, SettingsError, Verifier, a_few, nearest

from oneiric.hooks import Answer


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
    answers = list(declared)
    found = [answer for answer in answers if answer.value.name == name]
    if len(found) == 1:
        verifier: Verifier = found[0].value
        return verifier
    if found:
        message = f"several plugins bring a verifier {name!r}: {a_few(answer.plugin for answer in found)}"
        hint = "switch all but one of them off: [plugins] off"
    else:
        known = {answer.value.name for answer in answers}
        near = nearest(name, known)
        message = f"no plugin brings a verifier {name!r}"
        hint = f"did you mean {near}?" if near else f"there are: {a_few(known)}"
    raise SettingsError([Problem(f"remote.{stream}.verifier", message, where, hint)])
