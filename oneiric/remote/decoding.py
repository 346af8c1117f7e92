"""The body of a release: JSON Lines become entries, strictly, and only those lines that are new.

Its bytes were verified, and are somebody else's all the same.  Rules, in order; each is tested by its number.

B1  no mark before the text, no carriage return, and a line feed after each line but the last, which may have one
B2  no line is longer than 64 KiB, and there are as many as the first one says
B3  each line is strict JSON, as ``oneiric_hookspecs.releases`` has it: J1 to J4
B4  the first line says spec, stream, version and count, and nothing else
B5  every field of an entry is known and of its type: true is no number, 1.0 no whole one, "1" neither
B6  names, factories, versions, requirements and files are well formed, and name nothing but that
B7  a secret stands only in the settings, and only as ``{"$secret": "name"}``
B8  entries stand in the order of (domain, key, provider, version), so each stands once
"""

from __future__ import annotations

import hashlib
import itertools
import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs
from oneiric_hookspecs import Entry, EntryIdentity, Malformed, Manifest
from oneiric_hookspecs.releases import Fields, read_json

from .fields import LineReader
from .quiet import no_collection

#: Bytes of a line, at most.
LINE = 64 * 1024
#: Bytes of the shortest entry there can be: more entries than the body has room for are not even looked for.
SHORTEST = len(b'{"domain":"a","key":"b","provider":"c","factory":"d:e"}\n')


_Entries = dict[EntryIdentity, Entry]
_Strange = dict[EntryIdentity, tuple[str, ...]]
_NOTHING: tuple[EntryIdentity, ...] = ()


class _Lines(Mapping[EntryIdentity, int]):
    """The numbers of lines, by identity; counted when somebody asks, as only errors do."""

    __slots__ = ("_entries", "_found")

    def __init__(self, entries: Mapping[EntryIdentity, Entry]) -> None:
        self._entries = entries
        self._found: dict[EntryIdentity, int] | None = None

    def _all(self) -> dict[EntryIdentity, int]:
        found = self._found
        if found is None:
            found = self._found = {each: number for number, each in enumerate(self._entries, 2)}
        return found

    def __getitem__(self, identity: EntryIdentity) -> int:
        return self._all()[identity]

    def __iter__(self) -> Iterator[EntryIdentity]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


@attrs.frozen(eq=False)
class Decoded:
    """A body that was read, and what is needed to read the next one cheaply.

    Args:
        manifest: What it says.
        rows: Each line after the first, as it came.
        strange: Fields that are not known, by entry; nothing unless it was read leniently.
        lenient: Whether it was.
        fresh: The entries whose lines stand not in the one before, in order; all of them where there was none.
        gone: The entries of the one before whose lines do not stand here.
        mark: What this one is known by, as long as it is kept.
        after: The mark of the one before; None where there was none.
    """

    manifest: Manifest
    rows: list[bytes] = attrs.field(repr=False)
    strange: Mapping[EntryIdentity, tuple[str, ...]] = attrs.field(factory=dict)
    lenient: bool = False
    fresh: tuple[EntryIdentity, ...] = attrs.field(default=(), repr=False)
    gone: tuple[EntryIdentity, ...] = attrs.field(default=(), repr=False)
    mark: object = attrs.field(factory=object, repr=False)
    after: object = attrs.field(default=None, repr=False)

    @property
    def warnings(self) -> list[str]:
        """What was passed over, a sentence for each entry."""
        return [
            f"{name_of(identity)}: {', '.join(map(repr, fields))} not known, and passed over"
            for identity, fields in self.strange.items()
        ]


def name_of(identity: EntryIdentity) -> str:
    """An identity for people: ``adapter:cache redis 2.0``."""
    domain, key, provider, version = identity
    return f"{domain}:{key} {provider}" + (f" {version}" if version else "")


def read_manifest(body: bytes, *, lenient: bool = False) -> Manifest:
    """The manifest that *body* stands for; see ``decode``."""
    return decode(body, lenient=lenient).manifest


def decode(
    body: bytes, *, lenient: bool = False, previous: Decoded | None = None, sha256: str | None = None
) -> Decoded:
    """Read a body.

    Args:
        body: Its bytes, whole.
        lenient: Whether fields of entries that are not known are passed over, and told.
        previous: What was read before: lines that stood there are not read again.
        sha256: What the bytes hash to, if that is known.
    Returns:
        All that it says; entries whose line is the same are the same objects as before.
    Raises:
        Malformed: One of the rules does not hold, with the line.
    """
    with no_collection():
        header, lines = _split(body)
        before = previous if previous is not None and previous.lenient == lenient else None
        read = LineReader(lenient)
        if before is None:
            entries, strange = _all(lines, read)
            fresh, gone = tuple(entries), _NOTHING
        else:
            entries, strange, fresh, gone = _some(lines, read, before)
        manifest = Manifest(
            stream=header["stream"],
            version=header["version"],
            entries=entries,
            lines=_Lines(entries),
            sha256=sha256 or hashlib.sha256(body).hexdigest(),
        )
        return Decoded(
            manifest, lines, strange, lenient, fresh, gone, after=None if before is None else before.mark
        )


def read_lines(lines: Iterable[bytes], *, lenient: bool = False) -> dict[EntryIdentity, Entry]:
    """Entries whose lines were kept by themselves.

    Raises:
        Malformed: One of B3 and B5 to B7 does not hold; the line counts from 2.
    """
    read = LineReader(lenient)
    return {
        identity: entry for identity, entry, _ in (read(line, number) for number, line in enumerate(lines, 2))
    }


def _all(
    lines: list[bytes], read: LineReader
) -> tuple[dict[EntryIdentity, Entry], dict[EntryIdentity, tuple[str, ...]]]:
    """Every line."""
    entries: dict[EntryIdentity, Entry] = {}
    strange = {}
    last: EntryIdentity | None = None
    for number, line in enumerate(lines, 2):
        identity, entry, unknown = read(line, number)
        if last is not None and identity <= last:
            raise _misplaced(last, identity, number)
        entries[identity] = entry
        last = identity
        if unknown:
            strange[identity] = unknown
    return entries, strange


def _some(
    lines: list[bytes], read: LineReader, before: Decoded
) -> tuple[_Entries, _Strange, tuple[EntryIdentity, ...], tuple[EntryIdentity, ...]]:
    """The lines between the first and the last that is another one; what stands around them is what it was."""
    old, known = before.rows, before.manifest.entries
    most = min(len(lines), len(old))
    head = _alike(lines, old, most)
    most -= head
    tail = min(most, _alike(reversed(lines), reversed(old), most))
    identities = list(known)
    there = dict(zip(old[head : len(old) - tail], identities[head : len(old) - tail], strict=True))
    strange = dict(before.strange)
    fresh: list[EntryIdentity] = []
    middle: list[tuple[EntryIdentity, Entry]] = []
    for number, line in enumerate(lines[head : len(lines) - tail], head + 2):
        known_as = there.pop(line, None)
        if known_as is not None:
            middle.append((known_as, known[known_as]))
            continue
        identity, entry, unknown = read(line, number)
        middle.append((identity, entry))
        fresh.append(identity)
        strange.pop(identity, None)
        if unknown:
            strange[identity] = unknown
    between = [identity for identity, _ in middle]
    around = [*identities[max(head - 1, 0) : head], *between, *identities[len(old) - tail :][:1]]
    for number, (one, other) in enumerate(itertools.pairwise(around), head + 2 + (not head)):
        if one >= other:
            raise _misplaced(one, other, number)
    gone = tuple(there.values())
    if before.strange:
        for identity in set(gone) - set(fresh):
            strange.pop(identity, None)
    if between == identities[head : len(old) - tail]:
        entries = dict(known)
        entries.update(middle)
    else:
        pairs = list(known.items())
        entries = dict([*pairs[:head], *middle, *pairs[len(old) - tail :]])
    return entries, strange, tuple(fresh), gone


def _alike(one: Iterable[bytes], other: Iterable[bytes], most: int) -> int:
    """How many of the first are equal."""
    return next(itertools.compress(itertools.count(), map(operator.ne, one, other)), most)


def _split(body: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """B1, B2 and B4: the first line, and all others."""
    if not body.endswith(b"\n"):
        body += b"\n"  # JSON Lines leaves it to whoever writes whether there is one after the last line
    end = body.find(b"\n", 0, LINE + 1)
    if end < 0:
        raise Malformed("the first line has no end, or is longer than 64 KiB", line=1)
    first = read_json(body[:end], "the first line", line=1)
    try:
        fields = Fields(first, "the first line")
        if fields.take("spec", str) != "1":
            raise fields.wrong("spec", "1, the only one that is known")
        header: dict[str, Any] = {
            "stream": fields.name("stream"),
            "version": fields.number("version"),
            "count": fields.number("count", least=0),
        }
        fields.end()
    except Malformed as error:
        raise Malformed(error.message, line=1) from None
    count: int = header["count"]
    room = count * SHORTEST <= len(body) - end
    # No more pieces than there are to be, however many line feeds there are; behind the last of them is nothing.
    lines = body.split(b"\n", count + 1) if room else []
    if len(lines) != count + 2 or lines[-1]:
        there = body.count(b"\n") - 1
        if count != there:
            raise Malformed(f"the first line says {count} entries, and {there} lines follow it", line=1)
        raise Malformed(f"{count} entries do not have room in {len(body)} bytes", line=1)
    if b"\r" in body:
        raise Malformed("there is a carriage return", line=body.count(b"\n", 0, body.index(b"\r")) + 1)
    del lines[0], lines[-1]
    if lines and max(map(len, lines)) > LINE:
        line = next(place for place, each in enumerate(lines, 2) if len(each) > LINE)
        raise Malformed("the line is longer than 64 KiB", line=line)
    return header, lines


def _misplaced(one: EntryIdentity, other: EntryIdentity, line: int) -> Malformed:
    """B8: *other* stands behind *one*, on *line*."""
    if one == other:
        return Malformed(f"{name_of(other)} stands there twice", line=line)
    return Malformed(
        f"{name_of(other)} stands after {name_of(one)}",
        line=line,
        hint="sort by (domain, key, provider, version)",
    )
