"""``[remote.NAME]``: a stream of candidates, where it comes from, who vouches for it, and what it may bring."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import attrs
from oneiric_hookspecs import NAME, StreamView, check_name

from .plain import Fault
from .rules import Rule, at_least, seconds
from .strict import did_you_mean

# Compiled when a stream is checked, as most applications have none.
_PATTERN = r"(\*|[a-z0-9][a-z0-9._-]*\*?):(\*|[a-z0-9][a-z0-9._-]*\*?)"
_MODULE = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)?"
_HOST = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:\d{1,5})?"
_HEADER = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"


def _each(check: Callable[[str], object]) -> Any:
    def checked(_: object, __: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
        for item in value:
            check(item)

    return checked


def _matching(pattern: str, expected: str) -> Callable[[str], None]:
    def check(value: str) -> None:
        if re.fullmatch(pattern, value, re.ASCII) is None:
            raise ValueError(f"expected {expected}, found {value!r}")

    return check


def _is_address(value: str) -> None:
    from urllib.parse import urlsplit

    # What is wrong with it is told without it: it may hold a password.
    try:
        parts = urlsplit(value)
        user, query = parts.username or parts.password, parts.query or parts.fragment
        _ = parts.port
    except ValueError:
        raise ValueError("expected the address of a folder, such as https://example.org/stream/") from None
    if NAME.fullmatch(parts.scheme) is None or not value.isprintable() or " " in value:
        raise ValueError("expected the address of a folder, such as https://example.org/stream/")
    if user:
        raise ValueError("an address has no user and password: write auth = the name of a secret")
    if query:
        raise ValueError("an address has no query and no fragment: it is the folder that the files are in")


def _band(_: object, __: attrs.Attribute[Any], value: tuple[int, int]) -> None:
    if value[0] > value[1]:
        raise ValueError(f"expected the least priority and the greatest, found {list(value)}")


@attrs.frozen
class Stream:
    """``[remote.NAME]``.

    Args:
        url: The folder its files are in, or a bundle: ``https:``, ``file:`` (relative to the settings), and ``http:``
            to this machine only.
        keyring: The file of keys that vouch for it; relative to the settings, or ``package:NAME/FILE`` of an
            importable package.
        verifier: Who decides whether a release is to be believed.
        interval: Seconds between two syncs.
        auth: The name of the secret that is sent along, to the address's own origin only.
        auth_header: The header it is sent in; in ``Authorization`` it goes as a bearer token.
        scope: Patterns of keys that it may bring: ``adapter:*``, ``service:mail``.
        factories: Whose factories its entries may name as ``pkg.mod:attr``: modules, packages, or one by its name;
            those of entry points need no leave.
        priority_band: The least and the greatest priority of its entries.
        secrets: Names of ``[secrets]`` that its entries may refer to.
        mode: ``whole``: one bad entry refuses the release.  ``isolate``: what it would replace stays.
        unknown_fields: Whether a field of an entry that is not known refuses the release, or is told and passed over.
        on_expired: Whether what an expired release brought goes on serving, or is withdrawn.
        max_lifetime: Seconds; releases that say they hold for longer are refused.
        latency_budget: Milliseconds; a sync that takes longer is told as a warning.  None never is.
        redirects: Hosts to which an answer may point, https only.
        ca_file: Certificates to trust instead of the system's; relative to the settings.
    """

    url: str = attrs.field(validator=Rule(_is_address))
    keyring: str = attrs.field(validator=attrs.validators.min_len(1))
    verifier: str = attrs.field(
        default="pinned", validator=Rule(lambda value: check_name(value, "name of a verifier"))
    )
    interval: float = attrs.field(default=300.0, validator=seconds())
    auth: str | None = None
    auth_header: str = attrs.field(
        default="Authorization", validator=Rule(_matching(_HEADER, "the name of a header"))
    )
    scope: tuple[str, ...] = attrs.field(
        default=("*:*",), validator=_each(_matching(_PATTERN, "a pattern of keys, such as adapter:*"))
    )
    factories: tuple[str, ...] = attrs.field(
        default=(), validator=_each(_matching(_MODULE, "a module, such as shop_kit, or pkg.mod:attr"))
    )
    priority_band: tuple[int, int] = attrs.field(default=(0, 100), validator=_band)
    secrets: tuple[str, ...] = ()
    mode: Literal["whole", "isolate"] = "whole"
    unknown_fields: Literal["reject", "warn"] = "reject"
    on_expired: Literal["keep", "deactivate"] = "keep"
    max_lifetime: float = attrs.field(default=30 * 86_400.0, validator=seconds())
    latency_budget: int | None = attrs.field(default=None, validator=attrs.validators.optional(at_least(1)))
    redirects: tuple[str, ...] = attrs.field(
        default=(), validator=_each(_matching(_HOST, "a host, with or without its port"))
    )
    ca_file: Path | None = None

    def view(self, name: str) -> StreamView:
        """What plugins may know of it."""
        return StreamView(
            name,
            self.url,
            scope=self.scope,
            factories=self.factories,
            priority_band=self.priority_band,
            secrets=self.secrets,
            mode=self.mode,
            max_lifetime=self.max_lifetime,
        )


def undefined_secrets(streams: Mapping[str, Stream], secrets: Mapping[str, str]) -> list[Fault]:
    """Names of secrets that streams refer to, and that ``[secrets]`` does not define."""
    named: list[tuple[tuple[str | int, ...], str]]
    named = [((stream, "auth"), each.auth) for stream, each in streams.items() if each.auth is not None]
    named += [
        ((stream, "secrets", place), name)
        for stream, each in streams.items()
        for place, name in enumerate(each.secrets)
    ]
    return [
        Fault(
            ("remote", *path),
            f"there is no {name!r} in [secrets]",
            did_you_mean(name, secrets) if secrets else None,
        )
        for path, name in named
        if name not in secrets
    ]
