"""A type checker sees a wrong call at the call, and a wrong implementation at the plugin."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = """
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractContextManager

from oneiric_hookspecs import Objection, decides, declares, implements, judges, observes, performs, wraps
from oneiric.hooks import Answer, Fault, HookManager


@declares(int)
def shop_prices(basket: str) -> Iterable[int]: ...  # type: ignore[empty-body]
@decides(int)
def shop_choose(basket: str, limit: int = 1) -> int | None: ...
@performs(int)
async def shop_pay(basket: str) -> int | None: ...
@judges
async def shop_check(basket: str) -> Iterable[Objection] | None: ...
@observes
async def shop_sold(basket: str) -> None: ...
@observes
def shop_opened() -> None: ...
@wraps
def shop_around_sale(basket: str) -> AbstractContextManager[None]: ...  # type: ignore[empty-body]


hooks = HookManager("shop")


async def calls() -> None:
    reveal_type(hooks[shop_prices]("b"))  # R list[int]
    reveal_type(hooks[shop_choose]("b", limit=2))  # R int | None
    reveal_type(await hooks[shop_pay]("b"))  # R int | None
    reveal_type(await hooks[shop_check]("b"))  # R list[oneiric_hookspecs.errors.Objection]
    reveal_type(hooks[shop_around_sale]("b"))  # R contextlib.AbstractContextManager[None, bool | None]
    reveal_type(hooks[shop_prices].answers("b"))  # R list[oneiric.hooks.records.Answer]
    reveal_type(await hooks[shop_check].answers("b"))  # R list[oneiric.hooks.records.Answer]
    reveal_type(await hooks[shop_sold].notify("b"))  # R list[oneiric.hooks.faults.Fault]
    reveal_type(hooks[shop_opened].notify())  # R list[oneiric.hooks.faults.Fault]
    reveal_type(hooks[shop_choose].decide("b")[0])  # R oneiric.hooks.records.Answer | None
    hooks[shop_choose]()  # E call-arg
    hooks[shop_choose](1)  # E arg-type
    hooks[shop_choose]("b", colour="red")  # E call-arg
    hooks[shop_choose].decide(1)  # E arg-type
    await hooks[shop_sold]("b", 2)  # E call-arg
    await hooks[shop_sold].notify(2)  # E arg-type
    await hooks[shop_choose]("b")  # E misc
    hooks["shop_choose"]  # E index


@implements(shop_choose)
def right(basket: str, limit: int = 1) -> int | None:
    return limit


class Plugin:
    @implements(shop_choose)
    def right(self, basket: str, limit: int = 1) -> int:
        return limit

    @implements(shop_pay)
    async def pay(self, basket: str) -> int | None:
        return 1

    @implements(shop_pay)
    def pay_at_once(self, basket: str) -> int | None:
        return 1


@implements(shop_choose)  # E arg-type
def wrong_answer(basket: str, limit: int = 1) -> str:
    return basket


@implements(shop_choose)  # E arg-type
def wrong_argument(basket: int, limit: int = 1) -> int:
    return limit


@implements(shop_choose)  # E arg-type
async def not_sync(basket: str, limit: int = 1) -> int:
    return limit
"""


def test_mypy_sees_calls_and_implementations(tmp_path):
    """Every line marked E has that error, every line marked R that type, and nothing else is said."""
    pytest.importorskip("mypy", reason="mypy is not installed")
    file = tmp_path / "shop.py"
    file.write_text(SOURCE)
    root = Path(__file__).parents[2]
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        f"--cache-dir={tmp_path}",
        "--no-pretty",
        str(file),
    ]
    environment = {"MYPYPATH": f"{root}:{root / 'hookspecs'}", "PATH": "/usr/bin:/bin"}
    result = subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False, cwd=tmp_path
    )

    expected = {}
    for number, line in enumerate(SOURCE.splitlines(), 1):
        if marked := re.search(r"  # ([ER]) (.+)$", line):
            expected[number] = marked[2]
    found = {}
    for number, code, text in re.findall(r"shop\.py:(\d+): (error|note): (.*)", result.stdout):
        if code == "note" and not text.startswith("Revealed"):
            continue
        shown = re.search(r'"(.*)"' if code == "note" else r"\[([\w-]+)\]$", text)[1]
        found[int(number)] = shown.replace("builtins.", "")
    assert (found, result.stderr) == (expected, "")
