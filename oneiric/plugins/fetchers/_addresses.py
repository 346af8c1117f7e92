"""Addresses of web servers: one reading of each, which shows neither query nor user."""

from __future__ import annotations

import ipaddress
import re
from typing import Self
from urllib.parse import quote, urljoin, urlsplit

import attrs
from oneiric_hookspecs import PluginError, Secret

_PORTS = {"https": 443, "http": 80}
_HOST = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", re.ASCII)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")
_LONGEST = 8 * 1024
#: Headers that say where a message ends, to whom it goes, or what it is about.
_OURS = frozenset(
    {
        "accept",
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "if-none-match",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)


@attrs.frozen
class Address:
    """An address on the web.  As a text it is without its query.

    Args:
        scheme: ``https`` or ``http``.
        host: In lower case; an IPv6 address without brackets.
        port: Also where it is not written.
        path: As it is sent.
        query: The same; empty for none.
    """

    scheme: str
    host: str
    port: int
    path: str
    query: str = attrs.field(default="", repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises: PluginError, it is none; nothing of it is shown that may be private."""
        if len(text) > _LONGEST or not text.isprintable() or re.search(r"[\s\\]", text):
            raise PluginError("an address has no blanks, no backslashes, and not very many characters")
        try:
            parts = urlsplit(text)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError:
            raise PluginError("it is no address: its host or port is none") from None
        if parts.scheme not in _PORTS:
            raise PluginError("it is no address of a web server: that begins with https://")
        if parts.username is not None or parts.password is not None:
            raise PluginError(
                "it holds a user or a password, which would be shown", hint="name a secret under auth instead"
            )
        if _HOST.fullmatch(host) is None and not _is_address(host):
            raise PluginError("it is no address: its host is none", hint="other letters are written as xn--")
        if port == 0:
            raise PluginError("it is no address: its port is none")
        kept = "/%:@!$&'()*+,;=~-._"
        return cls(
            parts.scheme,
            host,
            port or _PORTS[parts.scheme],
            quote(parts.path, safe=kept) or "/",
            quote(parts.query, safe=f"{kept}?"),
        )

    @property
    def authority(self) -> str:
        """The host, and the port where it is not that of the scheme."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def target(self) -> str:
        """What the server is asked for."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def below(self, path: str) -> Self:
        """A file below it, asked with the same query."""
        return attrs.evolve(self, path=f"{self.path.rstrip('/')}/{path}")

    def led(self, location: str) -> Address:
        """Where an answer leads.  Raises: PluginError, nowhere."""
        if not location or len(location) > _LONGEST:
            raise PluginError("it is no address")
        try:
            return Address.parse(urljoin(f"{self.scheme}://{self.authority}{self.target}", location))
        except ValueError:
            raise PluginError("it is no address") from None

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


def read_host(text: str) -> tuple[str, int]:
    """The host and port of ``host`` or ``host:port``.  Raises: PluginError, it is neither."""
    try:
        found = Address.parse(f"https://{text}")
    except PluginError:
        found = None
    if found is None or found.path != "/" or found.query or "/" in text or "?" in text or "#" in text:
        raise PluginError(f"redirects: {text[:80]!r} is no host and no host:port")
    return found.host, found.port


def is_loopback(host: str) -> bool:
    """Whether *host* is this machine, as far as can be said without asking; localhost is looked up later."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def check_header(name: str, credential: Secret) -> None:
    """Raises: PluginError, it cannot be sent so; the credential is not shown."""
    if _TOKEN.fullmatch(name) is None or name.lower() in _OURS:
        raise PluginError(f"header: {name[:60]!r} is no header that a credential can be sent in")
    if _VALUE.fullmatch(credential.reveal()) is None:
        raise PluginError(f"the credential holds what may not stand in the header {name}")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host
