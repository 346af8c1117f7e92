"""Choosing one of what plugins declare, by its name: nobody's is chosen where two have it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from oneiric_hookspecs import OneiricError, a_few, nearest

from .records import Answer


def choose_one(
    declared: Iterable[Answer],
    name: str,
    *,
    of: str,
    what: str,
    refuse: Callable[[str, str], OneiricError],
    verb: tuple[str, str] = ("bring", "brings"),
    written: str = "{}",
) -> Answer:
    """The one whose attribute *of* is *name*.

    Args:
        declared: What plugins declare, each with the plugin's name.
        name: Which.
        of: The attribute: ``name``, ``scheme``.
        what: What it is: ``a store 'sqlite'``.
        refuse: Makes the error of a message and of what to do.
        verb: What plugins do with it: of several of them, and of none.
        written: How a name is written: ``{}:``.
    Raises:
        OneiricError: No plugin declares it, or more than one.
    """
    answers = list(declared)
    found = [answer for answer in answers if getattr(answer.value, of) == name]
    if len(found) == 1:
        return found[0]
    if found:
        who = a_few(answer.plugin for answer in found)
        raise refuse(
            f"several plugins {verb[0]} {what}: {who}", "switch all but one of them off: [plugins] off"
        )
    known = {getattr(answer.value, of) for answer in answers}
    near = nearest(name, known)
    hint = f"did you mean {written.format(near)}?" if near else f"there are: {a_few(known)}"
    raise refuse(f"no plugin {verb[1]} {what}", hint)
