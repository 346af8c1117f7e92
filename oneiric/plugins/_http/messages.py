"""What is asked, and what is answered."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from .errors import Unfit

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
#: H7.
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
#: H9: they say where a message ends, to whom it goes, or what the connection is for.
OURS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
#: Bytes that all headers of a request may have.
MAX_HEADERS = 32 * 1024
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
_VALUE = re.compile(r"[!-~]([\t -~]*[!-~])?|")


def check_headers(headers: Mapping[str, str]) -> None:
    """H9.

    Raises:
        Unfit: One of them is none, is the client's business, or they are too long; no value is shown.
    """
    size = 0
    seen: set[str] = set()
    for name, value in headers.items():
        if _NAME.fullmatch(name) is None:
            raise Unfit("headers", f"{name[:60]!r} is no name of a header")
        if name.lower() in OURS:
            raise Unfit("headers", f"{name} is set by the client itself")
        if name.lower() in seen:
            raise Unfit("headers", f"{name} is there twice, in other letters")
        if _VALUE.fullmatch(value) is None:
            raise Unfit("headers", f"the value of {name} holds what may not stand in a header")
        seen.add(name.lower())
        size += len(name) + len(value)
    if size > MAX_HEADERS:
        raise Unfit("headers", f"are {size:,} bytes long, and {MAX_HEADERS:,} are allowed")


@attrs.frozen(eq=False, repr=False)
class Asked:
    """What is asked.

    Args:
        method: One of ``METHODS``.
        url: With a scheme and a host; or a path below the policy's ``base_url``.
        params: Pairs that are added to the query.
        headers: Over those of the policy.
        body: What is sent.
        repeatable: Whether it may be done again where nobody knows whether it has been done; None as the method says.
    """

    method: str
    url: str
    params: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes = b""
    repeatable: bool | None = None

    def may_be_repeated(self) -> bool:
        """H7."""
        return self.method in REPEATABLE if self.repeatable is None else self.repeatable


@attrs.frozen(eq=False, repr=False)
class Answer:
    """What is answered.

    Args:
        status: The number.
        headers: As they came, by names in lower case.
        url: Who answered: where redirects led.
        redirects: What was asked before.
        body: Unpacked.
        attempts: How often it was tried.
        version: Of HTTP: ``HTTP/1.1``, ``HTTP/2``.
    """

    status: int
    headers: Sequence[tuple[str, str]]
    url: str
    redirects: tuple[str, ...] = ()
    body: bytes = b""
    attempts: int = 1
    version: str = "HTTP/1.1"

    def header(self, name: str) -> str:
        """All values of a header, with commas between them; empty where there is none."""
        return ", ".join(value for each, value in self.headers if each == name.lower())


def pairs(table: Mapping[str, Any], field: str) -> list[tuple[str, str]]:
    """*table* as pairs of texts; a list gives one for each of its values.

    Raises:
        Unfit: A value is neither a text, a number, true, false, nor a list of these.
    """
    found: list[tuple[str, str]] = []
    for name, value in table.items():
        for place, each in enumerate(value if isinstance(value, (list, tuple)) else [value]):
            if isinstance(each, bool):
                text = "true" if each else "false"
            elif isinstance(each, (str, int, float)):
                text = str(each)
            else:
                at = f"{field}.{name[:60]}" + (f"[{place}]" if isinstance(value, (list, tuple)) else "")
                expected = "expected a text, a number, true or false, or a list of these"
                raise Unfit(at if at.isprintable() else field, expected)
            found.append((name, text))
    return found
