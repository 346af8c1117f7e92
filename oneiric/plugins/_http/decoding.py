"""Bodies, unpacked bit by bit and no further than they may be (H6)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from .errors import TooLarge, Unreachable

#: What is understood, and asked for.
ENCODINGS = "gzip, deflate"
#: Bytes that are unpacked at a time.
_PIECE = 64 * 1024
#: Of how many parts a gzip file may be put together; each costs time, however short it is.
_MAX_PARTS = 1000
_GZIP, _ZLIB, _RAW = 31, 15, -15


class Body:
    """What comes, as it is meant.

    Args:
        encoding: ``Content-Encoding``; empty for none.
        limit: Bytes that there may be, before and after.
        whose: Who sends it, for what is said of it.
    Raises:
        Unreachable: The encoding is not understood.
    """

    def __init__(self, encoding: str, limit: int, whose: str) -> None:
        named = [part.strip().lower() for part in encoding.split(",")]
        named = [each for each in named if each not in {"", "identity"}]
        if len(named) > 1 or (named and named[0] not in ("gzip", "x-gzip", "deflate")):
            raise Unreachable(f"{whose} sent a body in an encoding that was not asked for: {encoding[:60]!r}")
        self._limit, self._whose = limit, whose
        self._raw = self._out = 0
        self._kind = named[0].removeprefix("x-") if named else ""
        self._unpacker: zlib._Decompress | None = None
        self._head = b""  # what has come before one can tell how it is packed
        self._parts = 0
        self._over = False  # what may follow means nothing

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What *data* means, piece by piece.

        Raises:
            TooLarge: It is more than may be.
            Unreachable: It is not packed as was said.
        """
        self._raw += len(data)
        if self._raw > self._limit:
            raise self._too_large()
        if not self._kind:
            if data:
                yield data
            return
        if self._over:
            return
        data, self._head = self._head + data, b""
        while data or self._unpacker is not None:
            if self._unpacker is None:
                if len(data) < 2:
                    self._head = data
                    return
                self._unpacker = self._next_part(data[:2])
                if self._unpacker is None:
                    self._over = True  # padding behind the last part
                    return
            piece, most = self._unpacked(self._unpacker, data)
            if piece:
                yield piece
            if self._unpacker.eof:
                data, self._unpacker = self._unpacker.unused_data, None
            else:
                data = self._unpacker.unconsumed_tail
                if not data and len(piece) < most:
                    return

    def end(self) -> None:
        """Say that no more comes.  Raises: Unreachable, it should have."""
        if self._unpacker is not None or self._head:
            raise Unreachable(f"{self._whose} sent a body that ends too early")

    def _unpacked(self, unpacker: zlib._Decompress, data: bytes) -> tuple[bytes, int]:
        """The next piece, and how long it could have been; where it is that long, there may be more of it."""
        most = min(_PIECE, self._limit - self._out + 1)
        try:
            piece = unpacker.decompress(data, most)
        except zlib.error:
            raise Unreachable(f"{self._whose} sent a body that is no {self._kind}") from None
        self._out += len(piece)
        if self._out > self._limit:
            raise self._too_large()
        return piece, most

    def _next_part(self, start: bytes) -> zlib._Decompress | None:
        """What unpacks the part that begins with *start*; None where it is no part of it any more."""
        self._parts += 1
        if self._kind == "gzip":
            if self._parts > _MAX_PARTS:
                raise Unreachable(f"{self._whose} sent a body of more than {_MAX_PARTS:,} parts")
            return zlib.decompressobj(_GZIP) if self._parts == 1 or start == b"\x1f\x8b" else None
        # Servers have always disagreed on whether deflate is zlib's format (RFC 9110, 8.4.1.2) or what is inside it.
        wrapped = start[0] & 0x0F == 8 and int.from_bytes(start, "big") % 31 == 0
        return zlib.decompressobj(_ZLIB if wrapped else _RAW) if self._parts == 1 else None

    def _too_large(self) -> TooLarge:
        return TooLarge(f"{self._whose} sent more than {self._limit:,} bytes")
