"""Which addresses may be connected to (H3)."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Addresses behind these hold an IPv4 address in their last 32 bits: translated by a gateway (RFC 6052).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
#: Of carriers (RFC 6598): neither private nor global to Python.
_CARRIER = ipaddress.IPv4Network("100.64.0.0/10")


def permitted(address: str, *, private: bool, networks: Sequence[Network]) -> bool:
    """Whether *address* may be connected to.

    Args:
        address: In digits; an IPv6 one may have a zone.
        private: Whether private ones may.
        networks: Those that may in any case.
    """
    found = ipaddress.ip_address(address)
    meant = _meant(found)
    if any(each.version == one.version and one in each for each in networks for one in (found, meant)):
        return True
    if meant.is_loopback or _is_private(meant):
        return private
    return meant.is_global and not (meant.is_multicast or meant.is_reserved)


def _meant(address: Address) -> Address:
    """The address that is reached by *address*."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _is_private(address: Address) -> bool:
    """Whether it is of those that networks give out themselves (RFC 1918, 4193, 6598)."""
    if isinstance(address, ipaddress.IPv4Address):
        ours = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
        return address in _CARRIER or any(address in ipaddress.IPv4Network(each) for each in ours)
    return address in ipaddress.IPv6Network("fc00::/7")
