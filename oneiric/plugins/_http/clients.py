"""A client for each generation of settings, for plugins that are called with their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oneiric_hookspecs import Host

from .policy import Policy

if TYPE_CHECKING:
    from .client import Client


class Clients:
    """Makes a client where settings are met for the first time, and closes them.

    Args:
        host: The runtime.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._kept: dict[int, tuple[Policy, Client]] = {}  # with the policy, so that its id is nobody else's

    def of(self, policy: Policy) -> Client:
        """The client of *policy*.  Raises: Refused, it cannot be kept."""
        found = self._kept.get(id(policy))
        if found is None:
            from .client import Client  # httpx comes with it

            found = self._kept[id(policy)] = (policy, Client(policy, self._host))
        return found[1]

    async def close_idle(self) -> None:
        """Close those that nobody uses now; one that is asked for again is made again."""
        for place, (_, client) in list(self._kept.items()):
            if not client.in_use:
                del self._kept[place]
                await client.aclose()
