"""Read what a publisher signs: strict JSON, and the document of a release.

What is read here is verified or about to be, and every byte of it is somebody else's.  Rules, in order:

J1  the bytes are UTF-8 without a mark before them
J2  nothing is nested deeper than 32
J3  a name stands once in an object
J4  numbers are finite, and whole ones within what every implementation can hold
J5  a field that is not known is an error, and so is one that is missing
J6  true is no number, 1.0 no whole one, "1" neither
"""

from __future__ import annotations

import calendar
import json
import math
import re
import time
from collections.abc import Mapping
from typing import Any, NoReturn

from .errors import Malformed
from .keys import NAME
from .remote import FileRef, Release

#: The greatest whole number that every implementation of JSON holds (RFC 8259, 6).
GREATEST = 2**53 - 1
DEPTH = 32

_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SEGMENT = re.compile(r"[A-Za-z0-9._~+@-]+", re.ASCII)
BODY_TYPE = "application/vnd.oneiric.entries.v1+jsonl"


class _Refused(ValueError):
    pass


def read_json(data: bytes, what: str, *, line: int | None = None) -> Any:
    """The value that *data* stands for.

    Args:
        data: JSON, whole.
        what: What it is, for errors: ``the head``.
        line: Of which line of something larger.
    Raises:
        Malformed: One of J1 to J4 does not hold.
    """
    try:
        text = data.decode("utf-8")  # J1; lone surrogates do not decode
        if text.startswith("\ufeff"):
            raise _Refused("it begins with a byte-order mark")
        _check_depth(data)
        return json.loads(
            text, object_pairs_hook=_once, parse_constant=_no_constant, parse_int=_whole, parse_float=_finite
        )
    except UnicodeDecodeError:
        raise Malformed(f"{what} is not UTF-8", line=line) from None
    except (ValueError, RecursionError) as error:
        said = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise Malformed(f"{what} is not well formed: {said[:1].lower()}{said[1:200]}", line=line) from None


def _check_depth(data: bytes) -> None:
    """J2, before anything is built: brackets outside of texts are counted."""
    if data.count(b"[") + data.count(b"{") <= DEPTH:
        return
    depth = 0
    for piece in _BRACKETS.finditer(data):
        mark = piece.group()
        if mark in (b"[", b"{"):
            depth += 1
            if depth > DEPTH:
                raise _Refused(f"it is nested deeper than {DEPTH}")
        elif mark in (b"]", b"}"):
            depth -= 1


_BRACKETS = re.compile(
    rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL
)  # possessive: never tried in another way


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):  # J3
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _Refused(f"{name[:80]!r} is given twice")
            seen.add(name)
    return table


def _no_constant(word: str) -> NoReturn:
    raise _Refused(f"{word} is no number of JSON")


def _whole(text: str) -> int:
    if len(text) > 17 or abs(number := int(text)) > GREATEST:  # J4
        raise _Refused(f"{text[:20]} is beyond 2^53 - 1")
    return number


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _Refused(f"{text[:20]} is too large")
    return number


class Fields:
    """Takes the fields of an object, each of one type; what is left over is an error.

    Args:
        data: The object.
        what: What it is, for errors.
    Raises:
        Malformed: It is no object; from every method, J5 or J6 does not hold.
    """

    def __init__(self, data: Any, what: str) -> None:
        if not isinstance(data, dict):
            raise Malformed(f"{what} is no object")
        self._left, self._what = dict(data), what

    def take(self, name: str, *kinds: type, default: Any = ...) -> Any:
        """The field *name*, whose type is exactly one of *kinds*."""
        if name not in self._left:
            if default is ...:
                raise Malformed(f"{self._what}: {name} is missing")
            return default
        value = self._left.pop(name)
        if value.__class__ not in kinds:
            raise self.wrong(name, " or ".join(_WORDS.get(kind, kind.__name__) for kind in kinds))
        return value

    def number(self, name: str, *, least: int = 1, default: Any = ...) -> int:
        """A whole number, *least* or more."""
        value: int = self.take(name, int, default=default)
        if value < least:
            raise self.wrong(name, f"{least} or more")
        return value

    def name(self, name: str) -> str:
        """A text that may be the name of a stream."""
        value: str = self.take(name, str)
        if NAME.fullmatch(value) is None:
            raise self.wrong(name, "a name")
        return value

    def time(self, name: str) -> int:
        """A time such as ``2026-01-31T12:00:00Z``, in seconds since 1970."""
        text: str = self.take(name, str)
        try:
            return parse_time(text)
        except ValueError:
            raise self.wrong(name, "a time, YYYY-MM-DDThh:mm:ssZ") from None

    def texts(self, name: str, *, default: Any = ..., most: int = 64) -> tuple[str, ...]:
        """A list of texts, each once."""
        given: Any = self.take(name, list, default=default)
        if (
            len(given) > most
            or not all(isinstance(each, str) for each in given)
            or len(set(given)) < len(given)
        ):
            raise self.wrong(name, f"a list of at most {most} texts, each once")
        return tuple(given)

    def end(self) -> None:
        """Nothing is left."""
        if self._left:
            raise Malformed(f"{self._what}: {min(self._left)[:80]!r} is not known")

    def wrong(self, name: str, expected: str) -> Malformed:
        """The error that *name* is something else."""
        return Malformed(f"{self._what}: {name} is not {expected}")


_WORDS: Mapping[type, str] = {
    int: "a whole number",
    str: "a text",
    bool: "true or false",
    list: "a list",
    dict: "an object",
    float: "a number",
}


def parse_time(text: str) -> int:
    """Seconds since 1970 of a time such as ``2026-01-31T12:00:00Z``.  Raises: ValueError: It is none."""
    if _TIME.fullmatch(text) is None:
        raise ValueError(text)
    parsed = time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    if parsed.tm_sec > 59 or parsed.tm_year < 1970:
        raise ValueError(text)
    return calendar.timegm(parsed)


def format_time(seconds: float) -> str:
    """The text of a time, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(seconds)))


def check_path(path: str) -> str:
    """*path*, if it names a file below a stream's address and nothing else.  Raises: ValueError: It does not."""
    parts = path.split("/")
    if len(path) > 512 or ".." in path or "." in parts or not all(map(_SEGMENT.fullmatch, parts)):
        raise ValueError(f"{path[:80]!r} is not the path of a file below the stream's address")
    return path


def read_file(data: Any, what: str) -> FileRef:
    """The reference to a file: ``{"sha256", "size", "path", "media_type"}``.  Raises: Malformed."""
    fields = Fields(data, what)
    digest, size = fields.take("sha256", str), fields.number("size", least=0)
    path, media_type = fields.take("path", str), fields.take("media_type", str)
    fields.end()
    if _SHA256.fullmatch(digest) is None:
        raise fields.wrong("sha256", "a digest in lower-case hexadecimal")
    if not 0 < len(media_type) <= 128:
        raise fields.wrong("media_type", "a media type")
    try:
        return FileRef(digest, size, check_path(path), media_type)
    except ValueError:
        raise fields.wrong("path", "the path of a file below the stream's address") from None


def read_release(payload: bytes) -> Release:
    """The release that *payload*, bytes whose signatures were verified, stands for.

    Raises:
        Malformed: It is not well formed.
    """
    fields = Fields(read_json(payload, "the release"), "the release")
    if fields.take("spec", str) != "1":
        raise fields.wrong("spec", "1, the only one that is known")
    release = Release(
        stream=fields.name("stream"),
        epoch=fields.number("epoch"),
        version=fields.number("version"),
        issued=fields.time("issued"),
        expires=fields.time("expires"),
        manifest=read_file(fields.take("manifest", dict), "the release's manifest"),
        keyring=fields.number("keyring"),
        allow_removals=fields.number("allow_removals", least=0, default=0),
        min_client=fields.take("min_client", str, default=""),
        crit=fields.texts("crit", default=[]),
        note=fields.take("note", str, default=""),
    )
    fields.end()
    if release.manifest.media_type != BODY_TYPE:
        raise Malformed(f"the release's manifest: media_type is not {BODY_TYPE}")
    if release.expires <= release.issued:
        raise Malformed("the release expires before it was issued")
    if len(release.note.encode("utf-8", "surrogatepass")) > 1024:
        raise Malformed("the release: note is longer than 1 KiB")
    return release
