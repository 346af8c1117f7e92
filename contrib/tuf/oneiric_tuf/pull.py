"""Say what the newest release of a stream is, as python-tuf finds it.  Rules, in order; each is tested by its number.

T1   the root of the settings is where every pull begins; roots that were walked to before are verified again
T2   what TUF says is decided by python-tuf alone: the order of files, thresholds, versions, hashes, delegations
T3   the time is the kernel's, also for python-tuf; offline nothing expires here, and the kernel judges the release
T4   files are read by the kernel: what is not signed yet has 16 KiB at most, and the rest no more than is kept
T5   what was verified is kept however the pull ends, so that nothing older is believed afterwards
T6   the release is the target ``release.json``: at most 16 KiB, and read as strictly as any other
T7   a release that is new here is read whole from the source, so that all that it rests on can be replayed
T8   offline nobody is asked: what is kept is verified if it is of the release that was accepted, or else what was
     read when that was
T9   whatever fails is a RemoteError
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneiric_hookspecs import FetchError, Got, Keep, Pull, Pulled, Release, RemoteError, RemoteIO, VerifyError
from oneiric_hookspecs.releases import read_release

from .errors import told
from .fetching import Fetcher
from .files import LIMIT, RELEASE, Folder

if TYPE_CHECKING:
    from tuf.ngclient.updater import Updater

ROOT, TARGETS = "root", "targets"
#: The most bytes of what is not signed yet, and of a release.
SMALL = 16 * 1024
_MEMORY = "/dev/shm"  # noqa: S108 - a folder of our own is made in it, as in any other


def pull(asked: Pull) -> Pulled:
    """The newest release of the stream.

    Raises:
        VerifyError: What came is not to be believed.
        Malformed: What came is no metadata, or no release.
        FetchError: Nothing came.
    """
    release, signers = _replayed(asked) if asked.offline else _newest(asked)
    if asked.known is not None and release == asked.known:
        return Pulled(asked.known, None, signers, probed=not asked.offline, unchanged=True)
    return Pulled(release, None, signers, probed=not asked.offline)


def check_anchor(stream: str, anchor: bytes, now: float) -> None:
    """Whether the root of the settings can verify anything.  It may have expired: a newer one may be found.

    Raises:
        VerifyError: It cannot.
    """
    from tuf.api.metadata import Metadata

    try:
        with told([]):
            root = Metadata[Any].from_bytes(anchor)
            if root.signed.type != ROOT:
                raise VerifyError(f"it is of the type {root.signed.type}, and not root", code="wrong-type")
            root.signed.verify_delegate(ROOT, root.signed_bytes, root.signatures)
    except RemoteError as error:
        raise VerifyError(
            f"it is no root.json of a TUF repository: {error.message}",
            code="key",
            hint="name a root.json of the repository: any, as newer ones are found from there",
        ) from error


def _newest(asked: Pull) -> tuple[Release, tuple[str, ...]]:
    """What the source has."""
    with _folder() as folder:
        folder.lay_out(asked.keep)
        fetcher = Fetcher(asked.io)
        try:
            data, signers = _run(asked.anchor, folder, fetcher, asked.now)
            release = read_release(data)  # T6
        except BaseException:
            # T5; the error that there is already says more than that it cannot be kept.
            with contextlib.suppress(RemoteError, OSError):
                folder.save(asked.keep)
            raise
        with told(fetcher.asked):
            folder.save(asked.keep)
            whole = release == asked.known or fetcher.given.issuperset(folder.contents().values())
    if not whole:  # T7
        with _folder() as folder:
            folder.lay_out(asked.keep, only_roots=True)
            if _run(asked.anchor, folder, Fetcher(asked.io), asked.now)[0] != data:
                raise FetchError("the stream was published anew while it was read", code="unreachable")
    return release, signers


def _replayed(asked: Pull) -> tuple[Release, tuple[str, ...]]:
    """T8."""
    try:
        with _folder() as folder:
            folder.lay_out(asked.keep)
            folder.release.unlink(missing_ok=True)
            data, signers = _run(asked.anchor, folder, Fetcher(_Kept(asked.keep, asked.io)), 0)
    except RemoteError:
        with _folder() as folder:
            folder.lay_out(asked.keep, only_roots=True)
            data, signers = _run(asked.anchor, folder, Fetcher(asked.io), 0)
    return read_release(data), signers


class _Kept(RemoteIO):
    """Has the timestamp that is kept, and for the rest what is replayed."""

    def __init__(self, keep: Keep, io: RemoteIO) -> None:
        self._keep, self._io = keep, io

    def get(self, path: str, *, limit: int, etag: str | None = None) -> Got | None:
        if path != "metadata/timestamp.json":
            return self._io.get(path, limit=limit, etag=etag)
        data = self._keep.load("role.timestamp.json")
        return None if data is None else Got(data)


@contextlib.contextmanager
def _folder() -> Iterator[Folder]:
    with contextlib.ExitStack() as stack:
        with told([]):
            path = stack.enter_context(tempfile.TemporaryDirectory(prefix="oneiric-tuf-", dir=_place()))
            folder = Folder(Path(path))
        yield folder


def _place() -> str | None:
    """Where folders are made that last for one pull: in memory where the system has such a place, at a third of the
    price; None for wherever it likes.
    """
    return _MEMORY if os.access(_MEMORY, os.W_OK | os.X_OK) and "TMPDIR" not in os.environ else None


def _run(anchor: bytes, folder: Folder, fetcher: Fetcher, now: float) -> tuple[bytes, tuple[str, ...]]:
    """What python-tuf believes the release to be, and whose signatures that rests on."""
    from tuf.ngclient.config import UpdaterConfig
    from tuf.ngclient.updater import Updater

    config = UpdaterConfig(
        root_max_length=SMALL,  # T4
        timestamp_max_length=SMALL,
        snapshot_max_length=LIMIT,
        targets_max_length=LIMIT,
    )
    with told(fetcher.asked):
        updater = Updater(
            str(folder.metadata),
            "metadata/",
            target_base_url="targets/",
            fetcher=fetcher,
            config=config,
            bootstrap=anchor,
        )
        _set_time(updater, now)
        updater.refresh()
        found = updater.get_targetinfo(RELEASE)
        if found is None:
            raise FetchError(
                f"the repository has no target {RELEASE}", hint="nothing was published there yet"
            )
        if found.length > SMALL:
            raise VerifyError(f"{RELEASE} is longer than {SMALL:,} bytes", code="too-large")
        if updater.find_cached_target(found, str(folder.release)) is None:
            updater.download_target(found, str(folder.release))
        return folder.release.read_bytes(), _signers(folder)


def _set_time(updater: Updater, now: float) -> None:
    """T3.  python-tuf asks the clock of the machine once, and has no argument for another; it is told here.

    Raises:
        VerifyError: It cannot be told: its next version may keep the time elsewhere, and nothing is believed then.
    """
    trusted: Any = getattr(updater, "_trusted_set", None)
    if not isinstance(getattr(trusted, "reference_time", None), dt.datetime):
        raise VerifyError(
            "this version of python-tuf cannot be told the time",
            code="plugin-error",
            hint="install the version of tuf that oneiric-tuf names",
        )
    trusted.reference_time = dt.datetime.fromtimestamp(now, dt.UTC)


def _signers(folder: Folder) -> tuple[str, ...]:
    root, targets = folder.metadata / "root.json", folder.metadata / "targets.json"
    return _signers_of(root.read_bytes(), targets.read_bytes())


@lru_cache(maxsize=64)
def _signers_of(root: bytes, targets: bytes) -> tuple[str, ...]:
    """The keys that signed the top-level targets, by the beginning of their ids; both were verified before."""
    from tuf.api.metadata import Metadata

    signed = Metadata[Any].from_bytes(targets)
    result = (
        Metadata[Any]
        .from_bytes(root)
        .signed.get_verification_result(TARGETS, signed.signed_bytes, signed.signatures)
    )
    return tuple(sorted(keyid[:16] for keyid in result.signed))
