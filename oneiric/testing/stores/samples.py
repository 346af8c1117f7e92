"""Keys and values that have confused databases, and what is none."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

#: Keys that have confused databases: patterns, quotes, escapes, other scripts, the same text in two forms.
HOSTILE = (
    "%",
    "_",
    "a%b",
    "a_b",
    "axb",
    "a*b",
    "a?b",
    "a[b]",
    "a\\b",
    "a'b",
    'a"b',
    "a;b--",
    "a b ",
    " a",
    "A%B",
    "a\tb\n",
    "a\x7fb",
    "caf\u00e9",
    "cafe\u0301",
    "stra\u00dfe",
    "strasse",
    "\u0130i",
    "\u540d\u524d",
    "\u2028",
    "\ufeffa",
    "\uffff",
    "\U0001f600",
    "\U0010ffff",
    "a//b",
    "/",
    "a/../b",
    ".",
    "null",
    "0",
    "x" * 512,
    "\U0001f600" * 512,
)
#: Plain data of every kind; what comes back is the very same, of the very same types.
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    1.0,
    -0.0,
    0.1,
    1e-300,
    2**53 + 1,
    -(2**70),
    "",
    "plain",
    "caf\u00e9 \U0001f600 \u2028 \\ \" ' \t",
    [],
    {},
    [[], [[]], {}],
    {"": 1, "a": {"b": [1, 2.5, None, True, "x"]}, "%": "_"},
    {"long": "x" * 1_000_000},
)


def _nan_deep() -> Any:
    return {"a": [1, {"b": math.nan}]}


#: What no store takes; each is made anew.
NOT_PLAIN: tuple[Callable[[], Any], ...] = (
    lambda: math.nan,
    lambda: math.inf,
    lambda: -math.inf,
    _nan_deep,
    lambda: {1: "one"},
    lambda: {None: 1},
    lambda: b"bytes",
    lambda: {"a", "b"},
    lambda: (1, 2),
    object,
    lambda: [object()],
)
#: What is no key.
NO_KEYS: tuple[Any, ...] = ("", "x" * 513, None, 1, b"key", "a\0b", "a\ud800b")
