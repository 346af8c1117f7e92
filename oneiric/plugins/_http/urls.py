"""URLs: one reading of each, for the policy and for the connection."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import urlencode

import httpx

from .errors import Refused, Unfit, Unreachable
from .policy import Policy

MAX_URL = 16 * 1024
_DOTS = re.compile(r"(?:\.|%2e){1,2}", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
_PORTS = {"http": 80, "https": 443}


class Places:
    """Where requests may go (H1).

    Args:
        policy: Says.
    """

    def __init__(self, policy: Policy) -> None:
        try:
            self.base = _parsed(policy.base_url) if policy.base_url else None
        except Unfit as error:
            raise Refused(f"base_url {error.message}", setting="base_url") from None
        self._setting = "base_url" if policy.hosts is None else "hosts"
        if policy.hosts is not None:
            self._hosts = [_host_and_port(each) for each in policy.hosts]
        elif self.base is not None:
            self._hosts = [(_canonical(self.base), port_of(self.base))]
        else:
            self._hosts = [("*", None)]

    def admit(self, url: httpx.URL) -> None:
        """Raises: Refused, its host is none of those that may be asked."""
        host, port = _canonical(url), port_of(url)
        for wanted, only in self._hosts:
            if only in (None, port) and (
                wanted in ("*", host) or (wanted.startswith("*.") and host.endswith(wanted[1:]))
            ):
                return
        raise Refused(f"{shown(url)} is none of the hosts that may be asked", setting=self._setting)

    def url(self, given: str, params: Sequence[tuple[str, str]] = ()) -> httpx.URL:
        """What *given* means: a URL, or a path below ``base_url``.

        Raises:
            Unfit: It is neither.
        """
        if len(given) > MAX_URL:
            raise Unfit("url", f"has {len(given):,} characters, and {MAX_URL:,} are allowed")
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", given) is None:
            given = self._below(given)
        url = _parsed(given)
        if params:
            try:
                more = urlencode(params)
            except UnicodeEncodeError:
                raise Unfit("params", "hold half a surrogate pair, which UTF-8 cannot write") from None
            url = url.copy_with(query=b"&".join(filter(None, [url.query, more.encode("ascii")])))
            if len(str(url)) > MAX_URL:
                raise Unfit("params", f"make a URL longer than {MAX_URL:,} characters")
        return url

    def _below(self, path: str) -> str:
        if self.base is None:
            raise Unfit("url", "is a path, and there is no base_url; write https:// and a host before it")
        plain = re.split(r"[?#]", path, maxsplit=1)[0]
        if "\\" in plain or any(_DOTS.fullmatch(part) for part in plain.split("/")):
            raise Unfit("path", "leads out of base_url, or could: it has a part . or .., or a backslash")
        return f"{str(self.base).rstrip('/')}/{path.lstrip('/')}"

    def after(self, url: httpx.URL, location: str) -> httpx.URL:
        """Where a redirect leads.

        Raises:
            Unreachable: It is no URL.
            Refused: From https to http (H4).
        """
        try:
            found = _parsed(str(url.join(location[:MAX_URL])))
        except (Unfit, httpx.InvalidURL, ValueError):
            raise Unreachable(f"{shown(url)} redirects to what is no URL") from None
        if url.scheme == "https" and found.scheme == "http":
            raise Refused(f"{shown(url)} redirects from https to http")
        return found


def shown(url: httpx.URL) -> str:
    """Its origin; a path or a query may be nobody's business."""
    return f"{url.scheme}://{_authority(url)}"[:300]


def same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    """Whether headers for *one* may go to *other* (H4): the same, or the same by https in place of http."""
    if one.raw_host != other.raw_host:
        return False
    if one.scheme == other.scheme:
        return port_of(one) == port_of(other)
    return (one.scheme, port_of(one), other.scheme, port_of(other)) == ("http", 80, "https", 443)


def port_of(url: httpx.URL) -> int:
    """Its port, also where it is not written."""
    return url.port or _PORTS[url.scheme]


def _parsed(given: str) -> httpx.URL:
    try:
        url = httpx.URL(given)
        host = url.raw_host.decode("ascii")
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        said = str(error)[:150]
        raise Unfit(
            "url", "is no URL" + (f": {said}" if said.isascii() and said.isprintable() else "")
        ) from None
    if url.scheme not in _PORTS:
        raise Unfit("url", f"begins with http:// or https://, found {url.scheme[:20]!r}")
    if not host:
        raise Unfit("url", "names no host")
    if _HOST.fullmatch(host) is None and not _is_address(host):
        raise Unfit("url", "has a host that is no name and no address")
    if url.userinfo:
        raise Unfit("url", "holds a user or a password; give them in a header")
    if url.port is not None and not 1 <= url.port <= 65535:
        raise Unfit("url", f"has the port {url.port}; there are 1 to 65535")
    return url.copy_with(fragment=None)


def _authority(url: httpx.URL) -> str:
    return url.netloc.decode("ascii", "backslashreplace")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _canonical(url: httpx.URL) -> str:
    host = url.raw_host.decode("ascii")
    return str(ipaddress.ip_address(host)) if _is_address(host) else host.rstrip(".")


def _host_and_port(given: str) -> tuple[str, int | None]:
    """What an entry of ``hosts`` means.  Raises: Refused, nothing."""
    found = re.search(r":(\d+)$", given)
    port = int(found[1]) if found else None
    name = given[: found.start()] if found else given
    if name == "*":
        return "*", port
    below = "*." if name.startswith("*.") else ""
    try:
        return below + _canonical(_parsed(f"http://{name.removeprefix(below)}/")), port
    except Unfit as error:
        raise Refused(f"{given!r} {error.message}", setting="hosts") from None


def origin(url: str) -> str:
    """The scheme, the host and the port of a URL that was asked."""
    return shown(httpx.URL(url))
