"""``action:compression.hash``: the digest of a text, of bytes, or of a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, get_args

import attrs
from attrs.validators import ge
from oneiric_hookspecs import Action, hookimpl

from oneiric.plugins._requests import allowed, encoded, given_bytes, just_one, some_of, unfit, within

KEY = "compression.hash"
Algorithm = Literal["sha256", "sha384", "sha512", "blake2b", "blake2s", "sha3-256", "sha3-384", "sha3-512"]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
_CHUNK = 1024 * 1024


@attrs.frozen(eq=False, repr=False)
class Settings:
    """How, and of what.

    Args:
        algorithm: Where a request names none.
        algorithms: Those that a request may name.
        encoding: How the digest is written, where a request does not say.
        roots: Folders whose files a request may name; links that lead out of them are not followed. Relative ones count
            from the working directory.
        max_bytes: Bytes that a text, or a file, may have.
    """

    algorithm: Algorithm = "sha256"
    algorithms: tuple[Algorithm, ...] = attrs.field(default=ALGORITHMS, validator=some_of(ALGORITHMS))
    encoding: Literal["hex", "base64"] = "hex"
    roots: tuple[Path, ...] = ()
    max_bytes: int = attrs.field(default=1024**3, validator=ge(1))


@attrs.frozen(eq=False, repr=False)
class Request:
    """Of what, and how; one of ``text``, ``base64`` and ``path``.

    Args:
        text: A text; meant in UTF-8.
        base64: Bytes, in base64.
        path: A file in one of the folders of the settings.
        algorithm: None is the one of the settings.
        encoding: How the digest is written; None as the settings say.
    """

    text: str | None = None
    base64: str | None = None
    path: str | None = None
    algorithm: Algorithm | None = None
    encoding: Literal["hex", "base64"] | None = None

    def __attrs_post_init__(self) -> None:
        just_one(self, "text", "base64", "path")


@attrs.frozen(eq=False, repr=False)
class Result:
    """A digest.

    Args:
        algorithm: The one that was used.
        digest: In the encoding that was asked for.
        bytes: How many there were.
    """

    algorithm: str
    digest: str
    bytes: int


def run(request: Request, settings: Settings) -> Result:
    """Read, and digest.  Raises: ActionError."""
    import hashlib

    algorithm = request.algorithm or settings.algorithm
    allowed(KEY, "algorithm", algorithm, settings.algorithms, "algorithms")
    digest = hashlib.new(algorithm.replace("sha3-", "sha3_"))
    size = 0
    for piece in _pieces(request, settings):
        size += len(piece)
        within(KEY, "path", size, settings.max_bytes, setting="max_bytes")
        digest.update(piece)
    return Result(algorithm, encoded(digest.digest(), request.encoding or settings.encoding), size)


def _pieces(request: Request, settings: Settings) -> Iterator[bytes]:
    if request.path is None:
        yield given_bytes(KEY, request.text, request.base64, settings.max_bytes, setting="max_bytes")
        return
    from oneiric.plugins._files import Refused, open_inside

    try:
        with open_inside(request.path, settings.roots) as file:
            # It may grow while it is read, so its size is what was read.
            while piece := file.read(_CHUNK):
                yield piece
    except Refused as error:
        raise unfit(KEY, "path", str(error), setting="roots") from None
    except OSError as error:
        raise unfit(KEY, "path", f"cannot be read: {error.strerror}") from None


@hookimpl
def oneiric_actions() -> Iterable[Action]:
    yield Action(
        KEY,
        "Digest a text, bytes or a file",
        takes=Request,
        returns=Result,
        settings=Settings,
        run=run,
        idempotent=True,
    )
