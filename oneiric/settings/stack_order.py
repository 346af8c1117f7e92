"""The order of packages, which gives their candidates a priority."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from oneiric_hookspecs import SettingsError

from .plain import Fault, Faults, found, mismatch
from .strict import Where, problems

_TOKEN = re.compile(r"([A-Za-z0-9_][A-Za-z0-9._-]*)\s*(?::\s*(-?[0-9]{1,9}))?")
_FORM = "write app:100,vendor:50, or names alone, the strongest first"


def parse_stack_order(text: Any, where: Where = None) -> dict[str, int]:
    """Read the order of packages: ``"app:100,vendor:50"``, a list of such, or a table ``{app = 100}``.

    A bare name gets its priority from its position, the first listed the highest: of three names 3, 2 and 1.

    Args:
        text: As it was written.
        where: ``file:line``, or the name of the variable.
    Returns:
        The priority of each package.
    Raises:
        SettingsError: Every token that is not of that form, or names a package again.
    """
    try:
        return stack_order(text)
    except Faults as error:
        raise SettingsError(problems(error.faults, "resolver.stack_order", where)) from None


def stack_order(value: Any) -> dict[str, int]:
    """As ``parse_stack_order``.

    Raises:
        Faults: With paths below the setting.
    """
    if isinstance(value, Mapping):
        return _from_table(value)
    if isinstance(value, str):
        return _from_tokens(value.split(",") if value.strip() else [], in_list=False)
    if isinstance(value, (list, tuple)):
        return _from_tokens(list(value), in_list=True)
    raise mismatch("a text, a list or a table", value, _FORM)


def _from_table(value: Mapping[Any, Any]) -> dict[str, int]:
    order: dict[str, int] = {}
    faults = []
    for name, priority in value.items():
        token = _TOKEN.fullmatch(name) if isinstance(name, str) else None
        if token is None or token[2] is not None:
            faults.append(Fault((str(name),), f"{found(name)} is not the name of a package"))
        elif not isinstance(priority, int) or isinstance(priority, bool):
            faults.append(Fault((name,), f"expected a whole number, found {found(priority)}"))
        else:
            order[name] = priority
    if faults:
        raise Faults(faults)
    return order


def _from_tokens(tokens: list[Any], *, in_list: bool) -> dict[str, int]:
    order: dict[str, int] = {}
    faults = []
    for place, written in enumerate(tokens):
        at = (place,) if in_list else ()
        token = _TOKEN.fullmatch(written.strip()) if isinstance(written, str) else None
        if token is None:
            faults.append(
                Fault(at, f"{found(written)} is neither a package nor a package with its priority", _FORM)
            )
            continue
        name, priority = token.groups()
        if name in order:
            faults.append(Fault(at, f"{name!r} is given twice"))
        order[name] = len(tokens) - place if priority is None else int(priority)
    if faults:
        raise Faults(faults)
    return order
