"""``action:compression.encode``: make data smaller, and get them back.

What is decompressed is bounded while it is being decompressed, in bytes and by how many times larger it gets, so a few
bytes cannot become a full memory.  A stream ends where it says; what follows must be another whole stream.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Protocol, get_args

import attrs
from attrs.validators import ge, in_, le, optional
from oneiric_hookspecs import Action, hookimpl

from oneiric.plugins._requests import allowed, encoded, given_bytes, just_one, only_for, some_of, unfit

KEY = "compression.encode"
Algorithm = Literal["zlib", "gzip", "bz2", "lzma"]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)

#: Bytes that may come out before the ratio counts: a page of zeros is no attack.
FREE = 1024 * 1024
#: Streams that may follow one another, as in a file that gzip has appended to.
MAX_STREAMS = 1000
#: Bytes that an lzma stream may ask for; the highest level of others asks for 65 MiB.
LZMA_MEMORY = 128 * 1024 * 1024
_CHUNK = 64 * 1024


@attrs.frozen(eq=False, repr=False)
class Settings:
    """How, and how much.

    Args:
        algorithm: Where a request names none.
        algorithms: Those that a request may name.
        level: Where a request names none: 0 (fast) to 9 (small), for bz2 from 1; None is the library's own choice.
        max_input: Bytes that are taken.
        max_output: Bytes that may come out of decompressing.
        max_ratio: How many times as much may come out of decompressing as went in; counts above 1 MiB.
    """

    algorithm: Algorithm = "gzip"
    algorithms: tuple[Algorithm, ...] = attrs.field(default=ALGORITHMS, validator=some_of(ALGORITHMS))
    level: int | None = attrs.field(default=None, validator=optional(in_(range(10))))
    max_input: int = attrs.field(default=16 * 1024 * 1024, validator=[ge(1), le(1024**3)])
    max_output: int = attrs.field(default=64 * 1024 * 1024, validator=[ge(1), le(1024**3)])
    max_ratio: int = attrs.field(default=1000, validator=ge(1))


@attrs.frozen(eq=False, repr=False)
class Request:
    """What to do with which data; they are a text, or base64.

    Args:
        operation: Whether to compress or decompress.
        text: The data, as a text; meant in UTF-8.
        base64: The data, in base64.
        algorithm: ``lzma`` is the format of ``.xz``; None is the one of the settings.
        level: To compress by: 0 (fast) to 9 (small), for bz2 from 1; None is the one of the settings.
        output: How the result is given; None is base64 for what was compressed, a text for what was decompressed.
    """

    operation: Literal["compress", "decompress"] = "compress"
    text: str | None = None
    base64: str | None = None
    algorithm: Algorithm | None = None
    level: int | None = attrs.field(default=None, validator=optional(in_(range(10))))
    output: Literal["text", "base64"] | None = None

    def __attrs_post_init__(self) -> None:
        just_one(self, "text", "base64")
        only_for(self, "compress", "level")
        if self.operation == "decompress" and self.text is not None:
            raise ValueError("what is compressed is no text: give it as base64")
        if self.operation == "compress" and self.output == "text":
            raise ValueError("what is compressed is no text: ask for output 'base64'")


@attrs.frozen(eq=False, repr=False)
class Result:
    """The data, one way or the other.

    Args:
        algorithm: The one that was used.
        text: The data as a text; None where they are given in base64.
        base64: The data in base64; None where they are given as a text.
        bytes_in: How many there were.
        bytes_out: How many there are.
    """

    algorithm: str
    text: str | None
    base64: str | None
    bytes_in: int
    bytes_out: int


def run(request: Request, settings: Settings) -> Result:
    """Compress or decompress.  Raises: ActionError."""
    algorithm = request.algorithm or settings.algorithm
    allowed(KEY, "algorithm", algorithm, settings.algorithms, "algorithms")
    data = given_bytes(KEY, request.text, request.base64, settings.max_input, setting="max_input")
    if request.operation == "compress":
        level = settings.level if request.level is None else request.level
        made = _compressed(data, algorithm, level)
    else:
        made = _decompressed(data, algorithm, settings)
    text = None
    if request.output == "text" or (request.operation == "decompress" and request.output is None):
        try:
            text = made.decode()
        except UnicodeDecodeError:
            raise unfit(
                KEY, "output", "what was decompressed is no text in UTF-8; ask for 'base64'"
            ) from None
    shown = None if text is not None else encoded(made, "base64")
    return Result(algorithm, text, shown, len(data), len(made))


def _compressed(data: bytes, algorithm: str, level: int | None) -> bytes:
    if algorithm == "bz2":
        import bz2

        if level == 0:
            raise unfit(KEY, "level", "is 1 to 9 for bz2, found 0")
        return bz2.compress(data, 9 if level is None else level)
    if algorithm == "lzma":
        import lzma

        # A dictionary larger than the data is memory for nothing: 64 MiB of it at level 9, and ten times that to work.
        size = min(64 * 1024 * 1024, max(4096, 1 << max(len(data) - 1, 0).bit_length()))
        chain = [{"id": lzma.FILTER_LZMA2, "preset": 6 if level is None else level, "dict_size": size}]
        return lzma.compress(data, lzma.FORMAT_XZ, filters=chain)
    import zlib

    # No time and no name in the header: equal data give equal bytes.
    maker = zlib.compressobj(-1 if level is None else level, zlib.DEFLATED, 31 if algorithm == "gzip" else 15)
    return maker.compress(data) + maker.flush()


class _Stream(Protocol):
    """One compressed stream, as ``bz2`` and ``lzma`` have it."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def _stream(algorithm: str) -> _Stream:
    if algorithm == "bz2":
        import bz2

        return bz2.BZ2Decompressor()
    if algorithm == "lzma":
        import lzma

        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=LZMA_MEMORY)
    import zlib

    return zlib.decompressobj(31 if algorithm == "gzip" else 15)


def _decompressed(data: bytes, algorithm: str, settings: Settings) -> bytes:
    by_ratio = max(FREE, len(data) * settings.max_ratio)
    limit = min(settings.max_output, by_ratio)
    made, at, streams, stream = bytearray(), 0, 1, _stream(algorithm)
    while True:
        chunk = stream.unused_data if stream.eof else b""
        if not chunk:
            # Small pieces, since what stands behind the end of a stream is copied.
            chunk, at = data[at : at + _CHUNK], at + _CHUNK
            if not chunk:
                break
        if stream.eof:
            if algorithm == "zlib":
                raise unfit(KEY, "base64", "goes on behind the end of its zlib stream")
            if streams == MAX_STREAMS:
                raise unfit(KEY, "base64", f"holds more than {MAX_STREAMS:,} streams")
            streams, stream = streams + 1, _stream(algorithm)
        try:
            # One byte more than may come out: a stream that gives less has taken all of the chunk.
            made += stream.decompress(chunk, limit - len(made) + 1)
        except Exception as error:  # zlib.error, lzma.LZMAError, OSError, EOFError: each library has its own
            before = f"holds {streams - 1} whole streams, and then " if streams > 1 else ""
            raise unfit(KEY, "base64", f"{before}is no {algorithm} stream: {error}") from None
        if len(made) > limit:
            message = f"comes to more than {limit:,} bytes, out of {len(data):,}"
            setting = "max_output" if settings.max_output <= by_ratio else "max_ratio"
            raise unfit(KEY, "base64", message, setting=setting)
    if not stream.eof:
        raise unfit(KEY, "base64", f"ends in the middle of a {algorithm} stream")
    return bytes(made)


@hookimpl
def oneiric_actions() -> Iterable[Action]:
    yield Action(
        KEY,
        "Compress and decompress",
        takes=Request,
        returns=Result,
        settings=Settings,
        run=run,
        idempotent=True,
    )
