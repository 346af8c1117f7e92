"""Verifier ``pinned``: releases signed by keys that were put here, and by those that those vouched for."""

from __future__ import annotations

from collections.abc import Iterable

from oneiric_hookspecs import Pull, Pulled, Verifier, hookimpl


def _pull(asked: Pull) -> Pulled:
    from .pull import pull

    return pull(asked)


def _check(stream: str, anchor: bytes, now: float) -> None:
    from .pull import check_anchor

    check_anchor(stream, anchor, now)


@hookimpl
def oneiric_verifiers() -> Iterable[Verifier]:
    yield Verifier("pinned", _pull, _check, "keys that were put here, and those they vouched for")
