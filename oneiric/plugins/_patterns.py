r"""Regular expressions that are given from outside, and cannot run for ever.

Python's engine tries one way after another, so a short expression can keep it busy for years.  What it may be given is
bounded by rules on how the expression is written; each is tested by its number.

P1  An expression has at most 200 characters.
P2  What is repeated holds no repetition, no alternative and no option itself: ``(a+)+``, ``(a|b)*``, ``(a?){9}``.
P3  Nothing refers back to a group, looks around, or depends on a group: ``\1``, ``(?P=name)``, ``(?<=a)``,
    ``(?(1)a)``.
P4  Each ``*``, ``+`` or ``{9,}`` may multiply the work by the length of the text, each ``?`` or ``|`` by two, and
    ``{2,9}`` by seven, rounded up to a power of two.  A text is tried only where the product is at most twenty
    million steps.  A count makes each of them longer.
P5  Flags may stand in front, ``(?i)``; a group may be ``(?:...)`` or have a name.

An expression describes the whole of a text, unless it is asked for as a part of one: that is one more factor of P4.
"""

from __future__ import annotations

import re

#: P1.
MAX_PATTERN = 200
#: P4.
MAX_STEPS = 20_000_000
#: A count is at most this; it holds for ``{9}`` too, since a group may be empty.
MAX_COUNT = 1000
#: More choices than this are a repetition.
_FEW = 64

_COUNT = re.compile(r"\{(\d*)(,?)(\d*)\}")
_GROUP = re.compile(r"\?(?::|P<\w+>)")
_FLAGS = re.compile(r"\(\?[aimsux]+\)")


class Pattern:
    """An expression that keeps the rules.

    Args:
        text: The expression.
        whole: Whether it describes the whole of a text.
    Raises:
        ValueError: It is no expression, or breaks a rule.
    """

    __slots__ = ("_compiled", "_factors", "_limit", "_whole", "text")

    def __init__(self, text: str, *, whole: bool = True) -> None:
        if len(text) > MAX_PATTERN:  # P1
            raise ValueError(f"a pattern has at most {MAX_PATTERN} characters, found {len(text)}")
        try:
            repeats, choices, weight = _counted(text)
        except IndexError:
            repeats = choices = weight = 0  # a bracket is missing: re says where
        try:
            self._compiled = re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"{text!r} is no pattern: {error}") from None
        self.text, self._whole = text, whole
        self._factors = repeats + (0 if whole else 1)
        steps = (MAX_STEPS >> choices) // (1 + weight // 50)
        self._limit = _root(steps, self._factors)
        if self._limit < 8:
            raise ValueError(f"{text!r} has too many of * + ? | to be tried on a text")

    @property
    def longest(self) -> int | None:
        """The length of the longest text it is tried on; None for any."""
        return self._limit if self._factors else None

    def too_long(self, text: str) -> bool:
        """Whether *text* is longer than may be tried (P4)."""
        return bool(self._factors) and len(text) > self._limit

    def matches(self, text: str) -> bool:
        """Whether it describes *text*; False for one that is too long."""
        if self.too_long(text):
            return False
        found = self._compiled.fullmatch(text) if self._whole else self._compiled.search(text)
        return found is not None


def _root(steps: int, factors: int) -> int:
    """The largest number that gives at most *steps*, multiplied with itself *factors* times."""
    if factors <= 1:
        return steps
    root = int(steps ** (1 / factors)) + 1
    while root**factors > steps:
        root -= 1
    return root


def _counted(text: str) -> tuple[int, int, int]:
    """How many repetitions and choices an expression has (P4), and how long its counts make it.

    Raises:
        ValueError: It breaks P2 or P3.
    """
    flags = _FLAGS.match(text)
    at = flags.end() if flags else 0
    if flags is not None and "x" in flags[0]:
        raise ValueError(f"{text!r}: the flag x is not understood here")
    repeats = choices = weight = 0
    open_groups: list[tuple[int, int]] = []  # choices of any kind, and weight, before each
    atom = (0, 0)  # the same, before what a quantifier would repeat
    while at < len(text):
        character = text[at]
        if character == "\\":
            if text[at + 1 : at + 2].isdigit() and text[at + 1] != "0":
                raise ValueError(f"{text!r}: a pattern does not refer back to a group")  # P3
            atom, at = (repeats + choices, weight), at + 2
        elif character == "[":
            atom, at = (repeats + choices, weight), _past_set(text, at)
        elif character == "(":
            open_groups.append((repeats + choices, weight))
            at += 1
            if text[at : at + 1] == "?":
                found = _GROUP.match(text, at)
                if found is None:
                    raise ValueError(f"{text!r}: a group is (...), (?:...) or (?P<name>...)")  # P3, P5
                at = found.end()
        elif character == ")":
            atom, at = open_groups.pop(), at + 1
        elif character == "|":
            choices, at = choices + 1, at + 1
        elif quantifier := _quantifier(text, at):
            end, least, most = quantifier
            if most != 1 and repeats + choices > atom[0]:
                raise ValueError(f"{text!r}: what is repeated holds no repetition or choice itself")  # P2
            if most is None or most - least > _FEW:
                repeats += 1
            else:
                choices += (most - least).bit_length()
            weight = atom[1] + max(1, weight - atom[1]) * (most or least)
            at = end + (text[end : end + 1] in {"?", "+"})  # lazy, possessive
        else:
            atom, at = (repeats + choices, weight), at + 1
    return repeats, choices, weight


def _quantifier(text: str, at: int) -> tuple[int, int, int | None] | None:
    """Where the quantifier at *at* ends, and how often it lets repeat, at least and at most; None where it is none.

    Raises:
        ValueError: It counts higher than P4 lets it.
    """
    if text[at] in "*+":
        return at + 1, 0, None
    if text[at] == "?":
        return at + 1, 0, 1
    found = _COUNT.match(text, at)
    if found is None or found[0] == "{}":
        return None
    least = int(found[1] or 0)
    most = int(found[3]) if found[3] else None if found[2] else least
    if max(least, most or 0) > MAX_COUNT:
        raise ValueError(f"{text!r}: a count is at most {MAX_COUNT}")
    return found.end(), least, most


def _past_set(text: str, at: int) -> int:
    """Where the set that begins at *at* ends."""
    at += 1
    if text[at : at + 1] == "^":
        at += 1
    if text[at : at + 1] == "]":
        at += 1
    while text[at] != "]":
        # Python warns of these, since they may mean something else one day.
        if text[at] == "[" or text[at : at + 2] in {"--", "&&", "~~", "||"}:
            raise ValueError(f"{text!r}: write a backslash before {text[at]!r} in a set")
        at += 2 if text[at] == "\\" else 1
    return at + 1
