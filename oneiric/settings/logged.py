"""``[logging]``: where what the framework logs goes, in a process that is the framework's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import attrs
from oneiric_hookspecs import a_few, nearest

from .plain import Fault
from .rules import Rule, at_least, seconds

LEVELS = ("debug", "info", "warning", "error", "critical")
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_HEADER = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#: What only some kinds of sinks have.
_OF_KIND = {
    "file": ("path", "max_bytes", "backups"),
    "http": ("url", "batch", "interval", "queue", "timeout", "headers"),
}
_NEEDED = {"file": "path", "http": "url"}


class _Unknown(ValueError):
    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def _check_level(value: str) -> None:
    if value not in LEVELS:
        near = nearest(value.lower(), LEVELS)
        hint = f"did you mean {near}?" if near else f"there are: {', '.join(LEVELS)}"
        raise _Unknown(f"expected a level, found {value[:40]!r}", hint)


_is_level = Rule(_check_level, enum=LEVELS)


def _are_levels(_: object, __: attrs.Attribute[Any], value: Mapping[str, str]) -> None:
    for level in value.values():
        _check_level(level)


def _is_address(value: str) -> None:
    from urllib.parse import urlsplit

    # What is wrong with it is told without it: it may hold a password.
    try:
        parts = urlsplit(value)
        host, user, _port = parts.hostname or "", parts.username or parts.password, parts.port
    except ValueError:
        raise ValueError("expected an address, such as https://logs.example.org/in") from None
    if parts.scheme not in ("http", "https") or not host or not value.isprintable() or " " in value:
        raise ValueError("expected an address, such as https://logs.example.org/in")
    if user:
        raise ValueError(
            "an address has no user and password: write headers = { Authorization = the name of a secret }"
        )
    if parts.scheme == "http" and host not in _LOCAL:
        raise ValueError("plain http goes to this machine only: write https")


def _are_headers(_: object, __: attrs.Attribute[Any], value: Mapping[str, str]) -> None:
    for name in value:
        if not name or set(name) - set(_HEADER):
            raise ValueError(f"expected the name of a header, found {name[:40]!r}")


@attrs.frozen(kw_only=True)
class Sink:
    """``[logging.sinks.NAME]``: one place where records go.

    Args:
        to: What it is.
        level: The least that goes there; what ``[logging]`` lets through, where it says nothing.
        format: Lines for people, or JSON; None as ``[logging]`` says, and JSON over http.
        path: The file; relative to the settings.
        max_bytes: How large the file becomes before a new one is begun.
        backups: How many old files are kept.
        url: Where batches are posted to: https, and plain http to this machine only.
        batch: Records in one request, at the most.
        interval: Seconds until a batch is sent that is not full.
        queue: Records that wait to be sent, at the most; the oldest are dropped, and counted.
        timeout: Seconds that a request may take.
        headers: Headers of the request, each with the name of the secret that is its whole value.
    """

    to: Literal["stdout", "stderr", "file", "http"]
    level: str | None = attrs.field(default=None, validator=attrs.validators.optional(_is_level))
    format: Literal["text", "json"] | None = None
    path: Path | None = None
    max_bytes: int = attrs.field(default=10_000_000, validator=at_least(1000))
    backups: int = attrs.field(default=5, validator=at_least(0))
    url: str | None = attrs.field(default=None, validator=attrs.validators.optional(Rule(_is_address)))
    batch: int = attrs.field(default=100, validator=at_least(1))
    interval: float = attrs.field(default=1.0, validator=seconds())
    queue: int = attrs.field(default=10_000, validator=at_least(1))
    timeout: float = attrs.field(default=10.0, validator=seconds())
    headers: Mapping[str, str] = attrs.field(default=_NOTHING, validator=_are_headers)

    def __attrs_post_init__(self) -> None:
        needed = _NEEDED.get(self.to)
        if needed is not None and getattr(self, needed) is None:
            raise ValueError(f'to = "{self.to}" needs {needed}')
        fields = attrs.fields_dict(Sink)
        for kind, names in _OF_KIND.items():
            for name in names:
                if kind != self.to and getattr(self, name) != fields[name].default:
                    raise ValueError(f'{name} is of to = "{kind}", and this one is "{self.to}"')


@attrs.frozen(kw_only=True)
class LoggingSection:
    """``[logging]``: read by ``oneiric orchestrate`` alone; the logging of an application is its own.

    Args:
        level: The least that is logged.
        format: Lines for people, or one JSON object a line.
        levels: The least of one logger and those below it, by its name in quotes: ``"oneiric.remote" = "debug"``.
        sinks: Where records go, by any name; stderr where nothing is written here.
    """

    level: str = attrs.field(default="info", validator=_is_level)
    format: Literal["text", "json"] = "text"
    levels: Mapping[str, str] = attrs.field(default=_NOTHING, validator=_are_levels)
    sinks: Mapping[str, Sink] = _NOTHING


def undefined_headers(section: LoggingSection, secrets: Mapping[str, str]) -> list[Fault]:
    """Names of secrets that sinks refer to, and that ``[secrets]`` does not define."""
    faults = []
    for name, sink in section.sinks.items():
        for header, secret in sink.headers.items():
            if secret not in secrets:
                near = nearest(secret, secrets)
                there = f"there are: {a_few(secrets)}" if secrets else 'add it: [secrets] NAME = "env:NAME"'
                # What stands there may be the secret itself.
                faults.append(
                    Fault(
                        ("logging", "sinks", name, "headers", header),
                        "expected the name of a secret in [secrets], which is not shown here",
                        f"did you mean {near}?" if near else there,
                    )
                )
    return faults
