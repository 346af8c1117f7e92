"""What an operator decides about requests."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import attrs
from attrs.validators import ge, le
from oneiric_hookspecs import Breaker, Secret

from .messages import check_headers

#: Longest time that may be asked for, in seconds.
MAX_SECONDS = 86_400
_BASE = re.compile(r"https?://[^\s/?#@\\]+(/[^\s?#\\]*)?", re.IGNORECASE)
_HOST = re.compile(r"(\*|(\*\.)?[^\s/?#@:*\\\[\]]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")


def _some_seconds(_: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    if not math.isfinite(value) or not 0 < value <= MAX_SECONDS:
        raise ValueError(
            f"{attribute.name} is more than 0 and at most {MAX_SECONDS} seconds, found {value!r}"
        )


def _a_wait(_: Any, attribute: attrs.Attribute[Any], value: float) -> None:
    if not math.isfinite(value) or not 0 <= value <= MAX_SECONDS:
        raise ValueError(f"{attribute.name} is 0 to {MAX_SECONDS} seconds, found {value!r}")


def _a_base(_: Any, attribute: attrs.Attribute[Any], value: str) -> None:
    if value and _BASE.fullmatch(value) is None:
        raise ValueError(
            f"{attribute.name} is http:// or https:// with a host and perhaps a path, and nobody's password in it"
        )


def _hosts(_: Any, attribute: attrs.Attribute[Any], value: tuple[str, ...] | None) -> None:
    for host in value or ():
        if _HOST.fullmatch(host) is None:
            such = "shop.example, *.shop.example, 10.0.0.1:8080"
            raise ValueError(f"{attribute.name} are names such as {such}, found {host!r}")


def _networks(_: Any, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
    if not value:
        return
    from ipaddress import ip_network

    for network in value:
        try:
            ip_network(network)
        except ValueError as error:
            raise ValueError(f"{attribute.name} are networks such as 10.1.0.0/16: {error}") from None


def _statuses(_: Any, attribute: attrs.Attribute[Any], value: tuple[int, ...]) -> None:
    for status in value:
        if not 400 <= status <= 599:
            raise ValueError(f"{attribute.name} are 400 to 599, found {status}")


def _headers(_: Any, attribute: attrs.Attribute[Any], value: Mapping[str, str | Secret]) -> None:
    check_headers({name: text.reveal() if isinstance(text, Secret) else text for name, text in value.items()})


@attrs.frozen(eq=False, repr=False)
class Policy:
    """Where requests may go, with what, and how much may come of them.

    Args:
        base_url: What a path is added to; empty for none.
        headers: Sent with each request to the origin of ``base_url``; without one, to each host that is asked.
        secret_headers: The same, of which nobody is to see the value.
        bearer: A token that is sent as ``Authorization: Bearer``, as they are.
        hosts: Those that may be asked, redirects too: ``shop.example``, ``*.shop.example`` for all below it, with a
            port where only that is meant; ``*`` is any.  None is the host of ``base_url``, and any where that is empty.
        allow_private: Whether addresses of private networks may be connected to, and this machine's own.
        networks: Addresses that may be connected to although they are private, or kept for something special:
            ``10.1.0.0/16``.
        timeout: Seconds for everything, attempts, redirects and the body too.
        connect_timeout: Seconds for a connection.
        max_bytes: Bytes that a body may have, as it comes and unpacked.
        redirects: How many are followed; 0 makes a redirect an answer like others.
        attempts: How often a request is tried that may be repeated.
        backoff: Seconds before the second attempt; they double from one to the next.
        max_backoff: Seconds that a wait between attempts lasts at most.
        retry_statuses: Answers after which there is another attempt.
        breaker: When a host that fails and fails is left alone for a while; None for never.
        ca_file: A PEM file with the certificates of those who may vouch for a host, in place of those that come with
            certifi.
        http2: Whether HTTP/2 is spoken with those who offer it, where the package h2 is installed.
        max_connections: How many connections there are at once; more requests wait.
    """

    base_url: str = attrs.field(default="", validator=_a_base)
    headers: Mapping[str, str] = attrs.field(factory=dict, validator=_headers)
    secret_headers: Mapping[str, Secret] = attrs.field(factory=dict, validator=_headers)
    bearer: Secret | None = None
    hosts: tuple[str, ...] | None = attrs.field(default=None, validator=_hosts)
    allow_private: bool = False
    networks: tuple[str, ...] = attrs.field(default=(), validator=_networks)
    timeout: float = attrs.field(default=30.0, validator=_some_seconds)
    connect_timeout: float = attrs.field(default=5.0, validator=_some_seconds)
    max_bytes: int = attrs.field(default=10 * 1024 * 1024, validator=ge(1))
    redirects: int = attrs.field(default=5, validator=[ge(0), le(20)])
    attempts: int = attrs.field(default=3, validator=[ge(1), le(20)])
    backoff: float = attrs.field(default=0.2, validator=_a_wait)
    max_backoff: float = attrs.field(default=10.0, validator=_a_wait)
    retry_statuses: tuple[int, ...] = attrs.field(default=(429, 502, 503, 504), validator=_statuses)
    breaker: Breaker | None = None
    ca_file: str | None = None
    http2: bool = True
    max_connections: int = attrs.field(default=20, validator=[ge(1), le(1000)])

    def __attrs_post_init__(self) -> None:
        if (self.secret_headers or self.bearer) and not self.base_url and self.hosts in (None, ("*",)):
            raise ValueError("a secret is sent to whoever is asked: say to whom, by base_url or hosts")

    def own_headers(self) -> dict[str, str]:
        """Those that stand in the settings, in the clear."""
        own = {**self.headers, **{name: text.reveal() for name, text in self.secret_headers.items()}}
        if self.bearer:
            own["Authorization"] = f"Bearer {self.bearer.reveal()}"
        return own
