"""Runtimes for a test, each checked at its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from oneiric.runtime import Runtime
    from oneiric.settings import Settings


class Runtimes:
    """Makes runtimes, and knows at the end how each of them ended."""

    def __init__(self) -> None:
        self._made: list[tuple[Runtime, bool]] = []

    def __call__(
        self,
        settings: Settings | Mapping[str, Any] | str | PathLike[str] | None = None,
        plugins: Iterable[Any] = (),
        *,
        checked: bool = True,
        **options: Any,
    ) -> Runtime:
        """A runtime of the built-ins and *plugins*, not started; nothing that is installed is in it.

        Args:
            settings: A mapping, a file, or settings; None for none at all.
            plugins: Modules, classes or objects.
            checked: Whether it has to end well.
            options: Of ``oneiric.assemble``.
        Raises:
            OneiricError: As ``assemble``.
        """
        from oneiric.assembly import assemble

        options = {"environment": False} | options
        runtime = assemble({} if settings is None else settings, plugins, **options)
        self._made.append((runtime, checked))
        return runtime

    def check(self) -> None:
        """Fail the test if one of them is open, or did not end well."""
        wrong = [problem for runtime, checked in self._made for problem in _problems(runtime) if checked]
        for runtime, _ in self._made:
            if runtime.closing is None:
                runtime.hooks.close()
        if wrong:
            pytest.fail("\n".join(wrong), pytrace=False)


def _problems(runtime: Runtime) -> list[str]:
    closing = runtime.closing
    if closing is None:
        return [
            "a runtime was left open: enter it by `async with`, or by `with ....blocking`"
        ] * runtime.running
    if not closing.done():
        return ["a runtime did not end: its loop was closed before"]
    if closing.cancelled() or closing.exception() is not None:
        return [f"closing a runtime failed: {'cancelled' if closing.cancelled() else closing.exception()!r}"]
    report = closing.result()
    return [
        *(f"when the runtime was closed, {each} did not end" for each in report.left),
        *(
            f"closing {each.key} {each.provider} ended as {each.ending}"
            + (f": {each.error}" if each.error else "")
            for each in report.retirements
            if each.ending not in ("closed", "kept")
        ),
    ]
