"""Connections to addresses that were looked at (H2, H3)."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import httpcore
from oneiric_hookspecs import Host

from .addresses import Network, permitted
from .errors import Refused, Unreachable
from .policy import Policy

#: Gives the addresses of a name and a port, in digits.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
#: How many addresses of a name are tried.
TRIED = 4


def system_resolver(host: Host) -> Resolve:
    """Asks the system, in a thread of the runtime: one that hangs keeps nobody."""

    async def resolve(name: str, port: int) -> Sequence[str]:
        found = await host.in_thread(
            lambda: socket.getaddrinfo(name, port, type=socket.SOCK_STREAM), name=f"http: look up {name}"
        )
        return [str(each[4][0]) for each in found]

    return resolve


class Checked(httpcore.AsyncNetworkBackend):
    """Connects as the policy says.

    Args:
        policy: Says.
        resolve: Gives addresses.
    """

    def __init__(self, policy: Policy, resolve: Resolve) -> None:
        self._policy, self._resolve = policy, resolve
        self._networks: list[Network] = [ipaddress.ip_network(each) for each in policy.networks]
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Look the name up, check, connect.  Raises: Refused, Unreachable."""
        addresses = [each for each in await self._addresses(host, port) if self._permitted(each)]
        if not addresses:
            setting = "networks" if self._policy.allow_private else "allow_private"
            raise Refused(f"{host} is at no public address, and others are not connected to", setting=setting)
        addresses = addresses[:TRIED]
        problem: Exception | None = None
        for address in addresses:
            try:
                # A share of the time for each: one that swallows everything does not hide the next.
                return await self._backend.connect_tcp(
                    address,
                    port,
                    self._policy.connect_timeout / len(addresses),
                    local_address,
                    socket_options,
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
        assert problem is not None
        raise problem

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: a socket in a folder has no address that could be checked."""
        raise Refused("a socket in a folder is not connected to")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._backend.sleep(seconds)

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            pass
        try:
            return list(dict.fromkeys(await self._resolve(host, port)))
        except (OSError, UnicodeError) as error:
            said = getattr(error, "strerror", None) or "it is no name of a host"
            raise Unreachable(f"{host} is not found: {said}") from error

    def _permitted(self, address: str) -> bool:
        return permitted(address, private=self._policy.allow_private, networks=self._networks)
