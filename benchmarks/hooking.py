"""Calling a hook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import peers
from harness import Pace, race, repeat
from lines import Line, Row, seconds
from oneiric_hookspecs import decides, hookimpl, observes

from oneiric import HookManager

#: How many implementations, and how many seconds a call may take.
_LIMITS = {0: 0.1e-6, 1: 0.4e-6, 10: 1.5e-6}


@observes
def oneiric_bench_told(thing: object, amount: int) -> None:
    """A hook that tells."""


@decides(int)
def oneiric_bench_decided(thing: object, amount: int) -> int | None:
    """A hook that asks until somebody answers."""


class Plugin:
    """Does nothing, so that what is measured is the call."""

    @hookimpl
    def oneiric_bench_told(self, thing: object, amount: int) -> None:
        """Hear."""

    @hookimpl
    def oneiric_bench_decided(self, thing: object, amount: int) -> int | None:
        """Leave it to the next."""
        return None


def _tell_all(functions: list[Callable[..., None]]) -> Callable[..., None]:
    def tell(thing: object, amount: int) -> None:
        for function in functions:
            function(thing, amount)

    return tell


def _ask_all(functions: list[Callable[..., Any]]) -> Callable[..., Any]:
    def ask(thing: object, amount: int) -> Any:
        for function in functions:
            answer = function(thing, amount)
            if answer is not None:
                return answer
        return None

    return ask


def hooks(pace: Pace) -> Iterator[Line]:
    """A sync hook is called whose implementations do nothing.  Plain: a function that calls a list of functions."""
    for form, spec, plain in (
        ("tells", oneiric_bench_told, _tell_all),
        ("asks", oneiric_bench_decided, _ask_all),
    ):
        for count, must in _LIMITS.items():
            plugins = [Plugin() for _ in range(count)]
            functions = [getattr(plugin, spec.name) for plugin in plugins]
            manager = HookManager("oneiric")
            manager.add_specs([oneiric_bench_told, oneiric_bench_decided])
            for number, plugin in enumerate(plugins):
                manager.register(plugin, f"plugin{number}")
            contenders = {
                "plain": repeat("call(thing, 1)", call=plain(functions), thing=object()),
                "ours": repeat("call(thing, 1)", call=manager[spec], thing=object()),
            }
            if form == "tells":
                contenders["pluggy"] = peers.pluggy_hook(count)
            yield seconds(f"{form} {count} implementation{'s' * (count != 1)}", race(contenders, pace), must)
            manager.close()


ROWS = (Row("hooks", hooks),)
