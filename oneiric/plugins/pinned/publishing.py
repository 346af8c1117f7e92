"""A stream's files at the publisher's: a folder, or a bundle, read as a reader would, and written file by file.

STREAM/keyrings/1.json      keyrings, kept for ever
STREAM/manifests/SHA.jsonl  bodies
STREAM/artifacts/SHA        what entries are made from
STREAM/head.json            the newest release, signed
STREAM/release.json         the release that is to be signed; not published
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from oneiric_hookspecs import FetchError, FileRef, Got, OneiricError, Pull, Release, RemoteError, VerifyError
from oneiric_hookspecs.releases import BODY_TYPE, check_path, format_time, parse_time, read_release

from . import dsse, keyring
from . import pull as pulling

#: Bytes of a body or artifact that these tools read, at most.
LARGEST = 1024 * 1024 * 1024


class NoSuchFile(OneiricError):
    """There is no such file, or it cannot be read."""

    exit_code = 3


class NotDone(OneiricError):
    """It would undo what was published, or overwrite what cannot be made again."""

    exit_code = 4


def read_bytes(path: Path, limit: int = LARGEST) -> bytes:
    """The bytes of a plain file.

    Raises:
        NoSuchFile: It is none, is not there, cannot be read, or is longer than *limit*.
    """
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(opened, "rb") as file:  # noqa: PTH123 - it is open already
            if not stat.S_ISREG(os.fstat(opened).st_mode):
                raise NoSuchFile(f"{path} is no plain file")
            data = file.read(limit + 1)
    except OSError as error:
        raise NoSuchFile(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    except ValueError:
        raise NoSuchFile(f"{str(path)!r} is no path of a file") from None
    if len(data) > limit:
        raise NoSuchFile(f"{path} is longer than {limit:,} bytes")
    return data


def write_bytes(path: Path, data: bytes, *, mode: int = 0o644, fresh: bool = False) -> None:
    """Write a file whole, or not at all.

    Args:
        path: Where; its folders are made.
        data: What.
        mode: Who may read it.
        fresh: Whether it must not be there yet.
    Raises:
        NotDone: It is there already, and *fresh*; or it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
        try:
            with open(handle, "wb") as file:  # noqa: PTH123 - it is open already
                os.fchmod(handle, mode)
                file.write(data)
                file.flush()
                os.fsync(handle)
            if fresh:
                os.link(name, path)  # fails where something is there, which a rename would replace
            else:
                Path(name).replace(path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError:
        raise NotDone(f"{path} is there already, and is not overwritten") from None
    except OSError as error:
        raise NotDone(f"{path}: {(error.strerror or 'cannot be written').lower()}") from None


def body_ref(body: bytes) -> FileRef:
    """What a release says of its body."""
    digest = hashlib.sha256(body).hexdigest()
    return FileRef(digest, len(body), f"manifests/{digest}.jsonl", BODY_TYPE)


def document(release: Release) -> dict[str, Any]:
    """A release as it is signed; what is as if it were not given is left out."""
    manifest = release.manifest
    found: dict[str, Any] = {
        "spec": "1",
        "stream": release.stream,
        "epoch": release.epoch,
        "version": release.version,
        "issued": format_time(release.issued),
        "expires": format_time(release.expires),
        "manifest": {
            "sha256": manifest.sha256,
            "size": manifest.size,
            "path": manifest.path,
            "media_type": manifest.media_type,
        },
        "keyring": release.keyring,
    }
    more = {
        "allow_removals": release.allow_removals,
        "min_client": release.min_client,
        "crit": list(release.crit),
        "note": release.note,
    }
    return found | {name: value for name, value in more.items() if value}


def payload(release: Release) -> bytes:
    """The bytes of a release that are signed.

    Raises:
        Malformed: Nobody would read them.
    """
    data = json.dumps(document(release), separators=(",", ":")).encode()
    read_release(data)  # what is signed is accepted, or it is not signed
    return data


# Reading ----------------------------------------------------------------------------------------------------------


class Memory:
    """A ``Keep`` that is gone with the process."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}

    def load(self, name: str) -> bytes | None:
        return self._files.get(name)

    def save(self, name: str, data: bytes) -> None:
        self._files[name] = data

    def names(self) -> list[str]:
        return sorted(self._files)


class Local:
    """A stream in a folder or a bundle of this machine: a ``RemoteIO``.

    Args:
        path: Which.
    Raises:
        NoSuchFile: There is no such folder or file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bundle: tuple[bytes, bytes] | None = None
        if not path.is_dir():
            head, _, body = read_bytes(path).partition(b"\n")
            self.bundle = (head, body)

    def get(self, path: str, *, limit: int, etag: str | None = None) -> Got | None:
        """A file of the stream; None where there is none."""
        try:
            data = self._read(check_path(path), limit)
        except NoSuchFile as error:
            raise FetchError(error.message, code="io") from None
        except ValueError as error:
            raise FetchError(str(error), code="origin") from None
        return None if data is None else Got(data)

    def body(self, ref: FileRef) -> bytes:
        """The body that a release names.

        Raises:
            FetchError: It is not there.
            VerifyError: It is not what was signed.
        """
        got = self.get(ref.path, limit=ref.size)
        if got is None:
            raise FetchError(f"there is no {ref.path}", code="io")
        check_digest(got.data, ref)
        return got.data

    def _read(self, path: str, limit: int) -> bytes | None:
        if self.bundle is None:
            place = self.path / path
            return read_bytes(place, limit) if os.path.lexists(place) else None
        if path == pulling.HEAD:
            data = self.bundle[0]
        elif path.startswith("manifests/"):
            data = self.bundle[1]
        else:
            return None
        if len(data) > limit:
            raise NoSuchFile(f"{path} of {self.path} is longer than {limit:,} bytes")
        return data


def check_digest(data: bytes, ref: FileRef) -> None:
    """Whether *data* is the file that was signed.  Raises: VerifyError: ``size`` or ``digest``."""
    if len(data) != ref.size:
        raise VerifyError(f"{ref.path} has {len(data):,} bytes, and {ref.size:,} were signed", code="size")
    if hashlib.sha256(data).hexdigest() != ref.sha256:
        raise VerifyError(f"{ref.path} is not what was signed: its sha256 is another one", code="digest")


@attrs.frozen
class Verified:
    """A stream that a reader would believe."""

    release: Release
    signers: tuple[str, ...]
    newest: keyring.Keyring
    body: bytes = attrs.field(repr=False)


def verified(
    source: Any,
    anchor: bytes,
    stream: str,
    now: float,
    *,
    max_days: float = 30,
    body: Callable[[FileRef], bytes],
) -> Verified:
    """Read a stream as a reader would who has seen nothing of it yet.

    Args:
        source: A ``RemoteIO``.
        anchor: The reader's keyring.
        stream: The name that the reader's settings give it.
        now: Seconds since 1970.
        max_days: For how long releases may hold.
        body: Gives the bytes of the body.
    Raises:
        RemoteError: The reader would refuse it, with the code.
    """
    keep = Memory()
    asked = Pull(stream, anchor, source, keep, now, probe=True)
    pulled = pulling.pull(asked)
    release = pulled.release
    if release.expires <= now:
        raise VerifyError(f"it has expired, at {format_time(release.expires)}", code="expired")
    if release.expires - release.issued > max_days * 86_400:
        raise VerifyError(f"it says that it holds for more than {max_days:g} days", code="expired")
    if release.issued > now + 300:
        raise VerifyError(f"it was signed in the future, at {format_time(release.issued)}", code="clock-skew")
    chain = pulling.Chain.kept(attrs.evolve(asked, known=release), frozenset())
    return Verified(release, pulled.signers, chain.newest, body(release.manifest))


def newest_keyring(folder: Path) -> Path | None:
    """The keyring of a stream's folder with the greatest number; None where there is none."""
    numbers = [int(each.stem) for each in (folder / "keyrings").glob("*.json") if each.stem.isdecimal()]
    return folder / "keyrings" / f"{max(numbers)}.json" if numbers else None


def head_of(folder: Path) -> tuple[dsse.Envelope, Release] | None:
    """The head of a stream's folder, and what it says, of which nothing is verified; None where there is none.

    Raises:
        RemoteError: It is damaged.
    """
    path = folder / pulling.HEAD
    if not os.path.lexists(path):
        return None
    try:
        envelope = dsse.read(read_bytes(path, dsse.LIMIT), pulling.TYPE, str(path))
        return envelope, read_release(envelope.payload)
    except RemoteError as error:
        raise VerifyError(f"{path}: {error.message}", code=error.code) from None


def draft(release: Release) -> bytes:
    """A release that is to be signed, as ``release.json``."""
    found = document(release)
    del found["issued"], found["expires"], found["keyring"]
    return json.dumps(found, indent=2).encode() + b"\n"


def read_draft(data: bytes, issued: float, expires: float, number: int) -> Release:
    """The release of a ``release.json``, with what it is signed with.

    Raises:
        Malformed: It is none.
    """
    from oneiric_hookspecs import Malformed
    from oneiric_hookspecs.releases import read_json

    found = read_json(data, "release.json")
    if not isinstance(found, dict):
        raise Malformed("release.json is no object")
    more = {"issued": format_time(issued), "expires": format_time(expires), "keyring": number}
    return read_release(json.dumps(found | more).encode())


def parse_when(text: str | None, now: float) -> int:
    """A time that was given on the command line; *now* where none was.  Raises: ValueError."""
    return int(now) if text is None else parse_time(text)
