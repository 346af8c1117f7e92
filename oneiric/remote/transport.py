"""Bytes of a stream, inside limits.  The fetcher is a plugin's; the limits are not.  Rules, each tested by its number:

B1   no more bytes are taken than may be: 16 KiB and the like before a signature holds, afterwards the signed size
B2   the time is for the whole of a file, from asking to its last byte, not for each piece of it
B3   what was signed has exactly the signed size and digest, or none of it is given out
B4   what a fetcher catches, hides or renames is an error nevertheless
B5   a path names a file below the stream's address, whoever asks
B6   "unchanged" is only believed of what is known
B7   of two fetchers for a scheme neither is chosen
B8   what is told of a failure names neither a query nor a user
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO, get_args

import attrs
from oneiric_hookspecs import (
    Code,
    Fetched,
    Fetcher,
    FetchError,
    Fetching,
    FileRef,
    Got,
    PluginError,
    Problem,
    RemoteError,
    SettingsError,
    SourceSpec,
    VerifyError,
    a_few,
)
from oneiric_hookspecs.releases import check_path

from oneiric.hooks import Answer
from oneiric.hooks.choosing import choose_one

#: The most bytes of what is not authenticated yet.
HEAD_LIMIT = 16 * 1024
#: The most bytes that are held in memory for one file, whoever signed that it is longer.
MEMORY_LIMIT = 256 * 1024 * 1024
#: Seconds for any file, and bytes a second that it has to come with beyond.
PATIENCE, RATE = 30.0, 64 * 1024

_CODES = frozenset(get_args(Code))
_PRIVATE = re.compile(r"\?\S*|(?<=//)[^/\s@]*@")
_ETAG = re.compile(r"[ -~\x80-\xff]{1,1024}")


# What takes the bytes ---------------------------------------------------------------------------------------------


class LimitedSink:
    """A ``Sink``: takes bytes up to a limit and until a time, and hashes them as they come.

    Args:
        limit: The most bytes.
        deadline: When it takes too long, by *clock*.
        clock: Seconds that only grow.
        what: Whose bytes, for errors.
        into: Takes them.
    """

    def __init__(
        self, limit: int, deadline: float, clock: Callable[[], float], what: str, into: BinaryIO
    ) -> None:
        self._limit, self._deadline, self._clock, self._what, self._into = limit, deadline, clock, what, into
        self._hash = hashlib.sha256()
        self.size = 0
        #: Why it takes no more; None while it does.  It stays, whatever the fetcher makes of it (B4).
        self.failed: Exception | None = None
        self.ended = False

    @property
    def left(self) -> float:
        """Seconds until it takes too long."""
        return max(0.0, self._deadline - self._clock())

    @property
    def sha256(self) -> str:
        """What the bytes hash to, in lower-case hexadecimal."""
        return self._hash.hexdigest()

    def write(self, chunk: Any) -> None:
        """Take a piece.

        Raises:
            FetchError: There are more bytes than may be (B1), it takes too long (B2), or all of it is over.
            OSError: What takes them cannot.
        """
        if self.failed is not None:
            raise self.failed
        try:
            if self.ended:
                raise FetchError(
                    f"{self._what}: bytes came when it was over", code="plugin-error", retryable=False
                )
            if not isinstance(chunk, (bytes, bytearray, memoryview)):
                found = type(chunk).__name__
                raise FetchError(
                    f"{self._what}: a fetcher writes bytes, found {found}",
                    code="plugin-error",
                    retryable=False,
                )
            size = self.size + memoryview(chunk).nbytes
            if size > self._limit:  # B1
                raise FetchError(f"{self._what} is longer than {self._limit:,} bytes", code="too-large")
            self.check_time()
            self._hash.update(chunk)
            self._into.write(chunk)
            self.size = size
        except Exception as error:
            self.failed = error
            raise

    def check_time(self) -> None:
        """B2.  Raises: FetchError, it takes too long."""
        if self.left <= 0:
            self.failed = FetchError(f"{self._what} took too long to come", code="deadline")
            raise self.failed


# What is asked for it ---------------------------------------------------------------------------------------------


@attrs.frozen
class Source:
    """A source that was opened.

    Args:
        fetching: The plugin's.
        plugin: Its name.
    """

    fetching: Fetching = attrs.field(eq=False)
    plugin: str

    def close(self) -> None:
        """Let go of it; a plugin that cannot is not waited for, and its error is nobody's."""
        with contextlib.suppress(Exception):
            self.fetching.close()


class StreamIO:
    """Reads the files of a stream, a ``RemoteIO``; one for each sync, by the thread of that.

    Args:
        source: Where from.  It may be kept from sync to sync, so that connections are.
        clock: Seconds that only grow.
        patience: Seconds for any file.
        rate: Bytes a second that it has to come with, beyond.
    """

    def __init__(
        self,
        source: Source,
        *,
        clock: Callable[[], float] = time.monotonic,
        patience: float = PATIENCE,
        rate: float = RATE,
    ) -> None:
        self._source, self._clock, self._patience, self._rate = source, clock, patience, rate
        #: Bytes that came, also those of files that were refused.
        self.received = 0
        #: How many digests were held against what was signed.
        self.digests = 0
        #: What ``get`` gave out, by path: what ``ReplayIO`` gives again.
        self.recorded: dict[str, bytes] = {}

    def get(self, path: str, *, limit: int, etag: str | None = None) -> Got | None:
        """A file of the stream; None where the source says that there is none.

        Args:
            path: Relative to the stream's address.
            limit: The most bytes it may have.
            etag: What the source knew it by before.
        Raises:
            FetchError: It cannot be had in time, or is longer.
        """
        beyond = limit if limit > HEAD_LIMIT else 0
        into = io.BytesIO()
        etag = _sendable(etag)
        fetched, _ = self._fetch(path, into, min(limit, MEMORY_LIMIT), beyond, etag)
        if fetched.status == "absent":
            return None
        known = _sendable(fetched.etag)
        if fetched.status == "unchanged":
            return Got(b"", known or etag, unchanged=True)
        data = self.recorded[path] = into.getvalue()
        return Got(data, known)

    def body(self, ref: FileRef) -> bytes:
        """A file that was signed, whole.

        Raises:
            FetchError: It cannot be had in time.
            VerifyError: It has another size or digest than was signed: ``size``, ``digest``.
        """
        if ref.size > MEMORY_LIMIT:
            raise VerifyError(
                f"{ref.path} has {ref.size:,} bytes, and {MEMORY_LIMIT:,} are taken", code="too-large"
            )
        into = io.BytesIO()
        self.artifact(ref, into)
        return into.getvalue()

    def artifact(self, ref: FileRef, into: BinaryIO) -> None:
        """As ``body``, for what need not fit into memory.

        Args:
            ref: The file.
            into: Takes its bytes as they come; what it has taken is to be thrown away where this raises.
        Raises:
            FetchError: It cannot be had in time.
            VerifyError: It has another size or digest than was signed: ``size``, ``digest``.
            OSError: *into* cannot take it.
        """
        try:
            fetched, sink = self._fetch(ref.path, into, ref.size, ref.size, None)
        except FetchError as error:
            if error.code != "too-large":
                raise
            raise VerifyError(
                f"{ref.path} is longer than the {ref.size:,} bytes that were signed", code="size"
            ) from None
        if fetched.status == "absent":
            raise FetchError(f"{ref.path} was signed, and is not there", hint="it may not be published yet")
        if sink.size != ref.size:  # B3
            raise VerifyError(
                f"{ref.path} has {sink.size:,} of the {ref.size:,} bytes that were signed", code="size"
            )
        self.digests += 1
        if sink.sha256 != ref.sha256:
            raise VerifyError(
                f"{ref.path} is not what was signed: its sha256 is {sink.sha256}", code="digest"
            )

    def _fetch(
        self, path: str, into: BinaryIO, limit: int, beyond: int, etag: str | None
    ) -> tuple[Fetched, LimitedSink]:
        try:
            check_path(path)  # B5
        except ValueError as error:
            raise FetchError(str(error), code="plugin-error", retryable=False) from None
        deadline = self._clock() + self._patience + beyond / self._rate
        sink = LimitedSink(limit, deadline, self._clock, path, into)
        try:
            fetched = self._source.fetching.get(path, sink, etag=etag)
            if sink.failed is not None:
                raise sink.failed
            self._check(fetched, path, etag)
            if fetched.status == "ok":
                sink.check_time()
        except Exception as error:
            if sink.failed is not None:  # B4
                raise sink.failed from None
            raise _told(error, self._source.plugin, path) from error
        finally:
            sink.ended = True
            self.received += sink.size
        return fetched, sink

    def _check(self, fetched: Any, path: str, etag: str | None) -> None:
        """B6, and that it is an answer at all."""
        if not isinstance(fetched, Fetched) or fetched.status not in ("ok", "unchanged", "absent"):
            raise TypeError(f"the answer to get is a Fetched, found {type(fetched).__name__}")
        if fetched.status == "unchanged" and etag is None:
            raise FetchError(f"{path} is said to be unchanged, and was not there before", code="plugin-error")


def _sendable(etag: Any) -> str | None:
    """*etag*, if a server can be asked with it."""
    return etag if isinstance(etag, str) and _ETAG.fullmatch(etag) else None


class ReplayIO:
    """Gives what ``StreamIO`` recorded once more, a ``RemoteIO``: nobody is asked, and nothing else is there.

    Args:
        files: ``StreamIO.recorded``.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def get(self, path: str, *, limit: int, etag: str | None = None) -> Got | None:
        """A file; None where there is none.  Raises: FetchError, it is longer than *limit*."""
        data = self._files.get(path)
        if data is None:
            return None
        if len(data) > limit:
            raise FetchError(f"{path} is longer than {limit:,} bytes", code="too-large", retryable=False)
        return Got(data)


# Which fetcher ----------------------------------------------------------------------------------------------------


def choose_fetcher(
    stream: str, url: str, declared: Iterable[Answer], where: str | None = None
) -> tuple[Fetcher, str]:
    """The fetcher for an address, and the plugin that brings it.

    Args:
        stream: Whose address.
        url: The address.
        declared: What plugins declare by ``oneiric_fetchers``.
        where: Where the settings say so, for errors.
    Raises:
        SettingsError: No plugin brings its scheme, or more than one does (B7).
    """
    scheme, colon, _ = url.partition(":")
    scheme = scheme.lower()
    answers = list(declared)
    known = {answer.value.scheme for answer in answers}

    def refuse(message: str, hint: str) -> SettingsError:
        return SettingsError([Problem(f"remote.{stream}.url", message, where, hint)])

    if not colon or (scheme not in known and re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme) is None):
        hint = "a folder is file:/and/its/path" if "file" in known else f"there are: {a_few(known)}"
        raise refuse("expected an address with a scheme", hint)
    found = choose_one(
        answers,
        scheme,
        of="scheme",
        what=f"from {scheme}" if scheme in known else f"from {scheme[:40]}:",
        refuse=refuse,
        verb=("fetch", "fetches"),
        written="{}:",
    )
    return found.value, found.plugin


def open_source(spec: SourceSpec, declared: Iterable[Answer], where: str | None = None) -> Source:
    """Open the source of a stream.

    Args:
        spec: What the fetcher is told.
        declared: What plugins declare by ``oneiric_fetchers``.
        where: Where the settings name its address, for errors.
    Raises:
        SettingsError: There is no fetcher for its address, or it is none.
        FetchError: The fetcher cannot open it.
    """
    fetcher, plugin = choose_fetcher(spec.stream, spec.url, declared, where)
    try:
        return Source(fetcher.open(spec), plugin)
    except PluginError as error:
        raise SettingsError(
            [Problem(f"remote.{spec.stream}.url", error.message, where, error.hint)]
        ) from error
    except Exception as error:
        raise _told(error, plugin, "the source") from error


def _told(error: Exception, plugin: str, what: str) -> Exception:
    """*error*, as it may be told: with a code that is one, a time that is one, and nothing private in it (B4, B8)."""
    if not isinstance(error, RemoteError):
        # It may be anybody's, and its text may hold an address.
        lines = str(error).strip().splitlines()
        said = _PRIVATE.sub("", lines[0])[:150] if lines else ""
        message = f"{what}: the fetcher of plugin {plugin} failed: {type(error).__name__}" + (
            f": {said}" if said else ""
        )
        return FetchError(message, code="plugin-error", retryable=False)
    if isinstance(error, FetchError):
        later = error.retry_after
        is_time = (
            isinstance(later, (int, float))
            and not isinstance(later, bool)
            and math.isfinite(later)
            and later >= 0
        )
        error.retry_after = later if is_time else None
    if error.code not in _CODES:
        error.code = "plugin-error"
    return error
