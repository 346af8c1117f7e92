"""What happened lately, a mark each, the newest last."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

_BARS, _PLAIN = "▁▂▃▄▅▆▇█", ".:-=+*#@"
#: What came of an operation that took nobody's place.
_OUTCOMES = {"failed": "x", "rolled_back": "<", "taken_back": "<", "refused": "-"}
_HEALTH = {"ok": ".", "degraded": "~", "unknown": "?", "failed": "x"}


def swaps(recent: Sequence[Any], room: int) -> str:
    """Operations: how long each took, compared with the longest of them, or that it came to nothing."""
    shown = [each for each in recent if isinstance(each, Sequence) and len(each) == 3][-room:]
    longest = max((ms for _, outcome, ms in shown if ms and outcome not in _OUTCOMES), default=0.0)
    bars = _bars()
    marks = []
    for _, outcome, ms in shown:
        if outcome in _OUTCOMES:
            marks.append(_OUTCOMES[outcome])
        else:
            share = (ms or 0.0) / longest if longest else 0.0
            marks.append(bars[min(len(bars) - 1, int(share * len(bars)))])
    return "".join(marks)


def healths(changes: Sequence[Any], room: int) -> str:
    """Changes of health; nothing where there was but the first answer."""
    shown = [each for each in changes if isinstance(each, Sequence) and len(each) == 2]
    return "".join(_HEALTH.get(str(status), "?") for _, status in shown[-room:]) if len(shown) > 1 else ""


def _bars() -> str:
    try:
        _BARS.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeError, LookupError):
        return _PLAIN
    return _BARS
