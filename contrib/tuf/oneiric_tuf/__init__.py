"""Kit ``tuf``: streams that are believed as TUF repositories are, by python-tuf.

Its verifier stands in for the built-in one: ``[remote.NAME] verifier = "tuf"``, and ``keyring`` names a ``root.json``.
What python-tuf decides stands in ``pull``; where its files lie, in ``files``; its errors become ours in ``errors``.
"""

from __future__ import annotations

from collections.abc import Iterable

from oneiric_hookspecs import Pull, Pulled, Verifier, hookimpl


def _pull(asked: Pull) -> Pulled:
    from .pull import pull  # python-tuf is imported when a stream is synced that wants it

    return pull(asked)


def _check(stream: str, anchor: bytes, now: float) -> None:
    from .pull import check_anchor

    check_anchor(stream, anchor, now)


@hookimpl
def oneiric_verifiers() -> Iterable[Verifier]:
    """One verifier."""
    yield Verifier("tuf", _pull, _check, "whom the root of a TUF repository names")
