"""What action kits share: bytes in requests and results, their limits, and how they say that something does not fit."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import Any

import attrs
from oneiric_hookspecs import ActionError, Problem

_HEX = re.compile(r"(?:[0-9a-fA-F]{2})*")


def setting_path(action: str, name: str) -> str:
    """Where a setting of *action* stands: ``actions.settings."data.transform".missing``."""
    return f'actions.settings."{action}".{name}'


def unfit(action: str, field: str, message: str, *, setting: str | None = None) -> ActionError:
    """*field* of the request is wrong, for a reason that its type does not show.

    Args:
        action: The action's name.
        field: The path of the field in the request.
        message: What is wrong with it, and what would not be.
        setting: The name of the setting that decides about it.
    """
    return unfit_all(action, [Problem(field, message)], setting=setting)


def unfit_all(action: str, problems: Iterable[Problem], *, setting: str | None = None) -> ActionError:
    """As ``unfit``, about several fields at once."""
    path = None if setting is None else setting_path(action, setting)
    return ActionError(f"the request does not fit {action}", problems=problems, setting=path)


def allowed(action: str, field: str, chosen: str, options: Iterable[str], setting: str) -> str:
    """*chosen*, which the settings must allow.

    Raises:
        ActionError: They do not.
    """
    options = tuple(options)
    if chosen not in options:
        listed = ", ".join(options) or "none"
        raise unfit(action, field, f"{chosen!r} is not allowed here; allowed: {listed}", setting=setting)
    return chosen


def some_of(options: Iterable[str]) -> Any:
    """A validator of settings: a list of one or more, each once."""
    known = tuple(options)

    def check(_: Any, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
        if not value:
            raise ValueError(f"{attribute.name} allows nothing; there are: {', '.join(known)}")
        if len(set(value)) != len(value):
            raise ValueError(f"{attribute.name} names one of them twice")

    return check


def just_one(request: Any, *names: str) -> None:
    """For ``__attrs_post_init__``: one of the fields is given, and only one.

    Raises:
        ValueError: None is, or more than one.
    """
    given = [name for name in names if getattr(request, name) is not None]
    if len(given) != 1:
        *most, last = names
        listed = f"{', '.join(most)} and {last}"
        raise ValueError(f"give one of {listed}, found {' and '.join(given) or 'none of them'}")


def only_for(request: Any, operation: str, *names: str) -> None:
    """For ``__attrs_post_init__``: the fields are given only where ``operation`` is this one.

    Raises:
        ValueError: One is given, and it is another.
    """
    for name in names:
        if getattr(request, name) is not None and request.operation != operation:
            raise ValueError(f"{name} is for operation {operation!r}, found {request.operation!r}")


def utf8(action: str, field: str, text: str) -> bytes:
    """*text* as bytes.

    Raises:
        ActionError: It holds half a surrogate pair, which no bytes mean.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        message = f"character {error.start} is half a surrogate pair, which UTF-8 cannot write"
        raise unfit(action, field, message) from None


def from_base64(action: str, field: str, text: str) -> bytes:
    """What *text* means: standard alphabet, padded, without line breaks, and the only way to write it (RFC 4648, 3.5).

    Raises:
        ActionError: It is not.
    """
    try:
        data = base64.b64decode(text, validate=True)
        strict = base64.b64encode(data).decode("ascii") == text
    except ValueError:
        strict, data = False, b""
    if not strict:
        raise unfit(action, field, "is not base64, in the standard alphabet and padded")
    return data


def from_hex(action: str, field: str, text: str) -> bytes:
    """What *text* means: two digits a byte, and nothing between them.

    Raises:
        ActionError: It is not.
    """
    if not _HEX.fullmatch(text):
        raise unfit(action, field, "is not hexadecimal, two digits a byte")
    return bytes.fromhex(text)


def encoded(data: bytes, encoding: str) -> str:
    """*data* as a text, in ``hex`` or ``base64``."""
    return data.hex() if encoding == "hex" else base64.b64encode(data).decode("ascii")


def given_bytes(
    action: str,
    text: str | None,
    in_base64: str | None,
    limit: int,
    *,
    setting: str,
    names: tuple[str, str] = ("text", "base64"),
) -> bytes:
    """What a request gives as a text, or in base64; *limit* bytes at most.

    Args:
        action: The action's name.
        text: The field that is a text; None where the other is given.
        in_base64: The field that is base64.
        limit: In bytes.
        setting: The name of the setting that is the limit.
        names: What the two fields are called.
    Raises:
        ActionError: It is too long, or not what it should be.
    """
    if text is not None:
        within(action, names[0], len(text), limit, setting=setting)
        data = utf8(action, names[0], text)
        within(action, names[0], len(data), limit, setting=setting)
        return data
    assert in_base64 is not None
    # Its length says how much it means before anything is decoded.
    within(action, names[1], len(in_base64) // 4 * 3 - in_base64[-2:].count("="), limit, setting=setting)
    return from_base64(action, names[1], in_base64)


def within(action: str, field: str, size: int, limit: int, *, setting: str) -> None:
    """Refuse more than *limit* bytes.  Raises: ActionError."""
    if size > limit:
        raise unfit(action, field, f"is {size:,} bytes long, and {limit:,} are allowed", setting=setting)
