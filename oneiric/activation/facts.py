"""What is known of the operation in which somebody logs, for ``oneiric.logs``."""

from __future__ import annotations

from .operation import current


def facts() -> dict[str, str]:
    """``domain``, ``key``, ``provider`` and ``operation``; nothing outside of an operation."""
    operation = current.get()
    if operation is None:
        return {}
    known = {"domain": operation.key.domain, "key": str(operation.key), "operation": operation.id}
    if operation.provider:
        known["provider"] = operation.provider
    return known
