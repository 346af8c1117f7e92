"""Addresses as people write them, and which of them are of this machine alone."""

from __future__ import annotations

import ipaddress
import re

import attrs
from oneiric_hookspecs import OneiricError

_HINT = "write HOST:PORT, as in 127.0.0.1:9000, localhost:0 or [::1]:9000"
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*\.?", re.ASCII)


class BadAddress(OneiricError):
    """What was written is no address to listen at, or none of this machine."""

    exit_code = 2


@attrs.frozen
class At:
    """Where it listens: as text, what stands behind ``http://``."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address(text: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``; port 0 stands for a free one.

    Raises:
        BadAddress: It is none.
    """
    bracketed = re.fullmatch(r"\[([^\[\]]*)\]:(.*)", text, re.DOTALL)
    host, port = bracketed.groups() if bracketed else (text.rpartition(":")[0], text.rpartition(":")[2])
    if not host:
        raise BadAddress(f"{_shown(text)} is no address to listen at: it names no host", hint=_HINT)
    if re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) is None or int(port) > 65535:
        raise BadAddress(f"{_shown(text)} is no address to listen at: its port is none", hint=_HINT)
    if bracketed:
        fine = _ip(host) is not None and ":" in host
    else:
        fine = _NAME.fullmatch(host) is not None and len(host) <= 253
        if re.fullmatch(r"[0-9.]+", host):  # 127.1 is an address to some, and to nobody who reads it
            fine = _ip(host) is not None
        elif ":" in host and _ip(host) is not None:
            raise BadAddress(
                f"{_shown(text)} is no address to listen at: it needs brackets", hint=f"write [{host}]:{port}"
            )
    if not fine:
        raise BadAddress(f"{_shown(text)} is no address to listen at: its host is none", hint=_HINT)
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether *host*, a name or an address without brackets, is this machine and reached from nowhere else."""
    name = host.rstrip(".").lower()
    found = _ip(name)
    if found is None:
        return name == "localhost" or name.endswith(".localhost")
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found.is_loopback


def host_of(header: str) -> str:
    """The host in a ``Host`` header, without brackets and port; empty where it is not well formed."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:@/?#\s]+))(?::[0-9]{0,5})?", header)
    return (match[1] or match[2]) if match else ""


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
