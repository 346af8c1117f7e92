"""Say what the newest release of a stream is.  Rules, in order; each is tested by its number.

P1   the keys of the settings are where every sync begins; what was walked to before is verified again, as it is kept
P2   keys that are distrusted here never count, also where nothing has changed
P3   newer keyrings are looked for before a new head is believed, and until the source says that there is none
P4   each keyring is kept before the next one is asked for, and no more than 256 are in one sync
P5   an unchanged head is verified again, with the keys of now, and never prolongs anything
P6   a threshold of the keys for releases signed exactly the bytes that are read
P7   a release is of the stream that was asked for
P8   the newest keyring has not expired, and is no older than the one the release was signed beside
P9   a release is of the epoch of the newest keyring: what was signed before it began is over
P10  offline nobody is asked, and what was pulled is verified with what was kept; whether it is still to be believed is
     the kernel's to judge by its times
"""

from __future__ import annotations

import logging
from functools import lru_cache

import attrs
from oneiric_hookspecs import FetchError, Pull, Pulled, Release, RemoteError, VerifyError
from oneiric_hookspecs.releases import read_release

from . import distrust, dsse, keyring
from .keyring import Keyring

log = logging.getLogger("oneiric.plugin.pinned")

TYPE = "application/vnd.oneiric.release.v1+json"
HEAD = "head.json"
#: Keyrings that are fetched in one sync, at most.
HOPS = 256


def pull(asked: Pull) -> Pulled:
    """The newest release of the stream.

    Raises:
        VerifyError: What came is not to be believed.
        Malformed: What came is no release.
        FetchError: Nothing came.
    """
    distrusted = distrust.load(asked.keep)
    chain = Chain.kept(asked, distrusted)  # P1
    if asked.offline:
        got = asked.io.get(HEAD, limit=dsse.LIMIT)
        if got is None:
            raise FetchError("the head that was pulled is not kept any more", retryable=False)
        release, signers = believe(got.data, chain.data, distrusted)  # P10
        check(release, chain.newest, asked.stream)
        return Pulled(release, asked.etag, signers, unchanged=release == asked.known)

    head, etag, unchanged = _head(asked)
    probed = asked.probe or not (unchanged and chain.whole) or chain.newest.expires <= asked.now
    if probed:
        chain = chain.walked(asked, distrusted)  # P3
    keyring.check_expiry(chain.newest, asked.now)  # P8
    release, signers = believe(head, chain.data, distrusted)
    check(release, chain.newest, asked.stream)
    if not unchanged:
        asked.keep.save(HEAD, head)
    same = asked.known is not None and release == asked.known
    return Pulled(asked.known if same and asked.known else release, etag, signers, probed, unchanged=same)


def check_anchor(stream: str, anchor: bytes, now: float) -> None:
    """Whether the keyring of the settings can verify anything.  It may have expired: a newer one may be found.

    Raises:
        VerifyError: It cannot.
    """
    keyring.read_anchor(anchor, stream)


def _head(asked: Pull) -> tuple[bytes, str | None, bool]:
    """The head, what the source knows it by, and whether it is the one that was pulled last."""
    before = asked.keep.load(HEAD)
    known = None
    if before is not None and asked.known is not None and _release_of(before) == asked.known:
        known = asked.etag
    got = asked.io.get(HEAD, limit=dsse.LIMIT, etag=known)
    if got is None:
        raise FetchError(
            f"there is no {HEAD} at the stream's address", hint="nothing was published there yet"
        )
    if got.unchanged:
        if before is None:
            raise FetchError(
                "the source says that the head is what it was, and was not told what that is", code="io"
            )
        return before, got.etag, True  # P5
    return got.data, got.etag, got.data == before


@lru_cache(maxsize=64)
def _release_of(head: bytes) -> Release | None:
    """What a head that was kept says; None where it is damaged.  Nothing is believed by that."""
    try:
        return read_release(dsse.read(head, TYPE, "the head").payload)
    except RemoteError:
        return None


@lru_cache(maxsize=64)
def believe(
    head: bytes, newest: bytes, distrusted: frozenset[bytes] = frozenset()
) -> tuple[Release, tuple[str, ...]]:
    """What a head says, and who signed it (P6).

    Pure, and remembered: a poll that finds nothing new verifies what it verified before.

    Args:
        head: Its envelope.
        newest: The keyring that is in force, an envelope that is believed.
        distrusted: Public keys that never count (P2).
    Raises:
        VerifyError: Not enough of the keys signed it.
        Malformed: It is no release.
    """
    keys = keyring.read(newest)
    envelope = dsse.read(head, TYPE, "the head")
    signers = dsse.verify(
        envelope, keys.of(keys.release), keys.release.threshold, "the head", distrusted=distrusted
    )
    return read_release(envelope.payload), signers


def check(release: Release, newest: Keyring, stream: str) -> None:
    """P7 to P9, of a release that is signed.  Raises: VerifyError."""
    if release.stream != stream:
        raise VerifyError(
            f"it is a release of the stream {release.stream!r}, and not {stream!r}", code="wrong-stream"
        )
    if release.keyring > newest.version:
        raise VerifyError(
            f"it was signed beside keyring {release.keyring}, and {newest.version} is the newest that can be had",
            code="keyring-withheld",
            hint="the source keeps back keys; one that has only a bundle needs the newer keyring in its settings",
        )
    if release.epoch > newest.epoch:
        raise VerifyError(
            f"it is of epoch {release.epoch}, which keyring {newest.version} of epoch {newest.epoch} does not begin",
            code="key",
        )
    if release.epoch < newest.epoch:
        raise VerifyError(
            f"it is of epoch {release.epoch}, and keyring {newest.version} has begun epoch {newest.epoch}",
            code="rollback",
        )


@attrs.frozen
class Chain:
    """The newest keyring that is believed.

    Args:
        data: Its envelope.
        newest: What it says.
        whole: Whether all that was kept led to it; where not, the source is asked for the rest.
    """

    data: bytes = attrs.field(repr=False)
    newest: Keyring
    whole: bool = True

    @classmethod
    def kept(cls, asked: Pull, distrusted: frozenset[bytes]) -> Chain:
        """From the keys of the settings along those that were walked to before; a damaged one ends it there."""
        chain = cls(asked.anchor, keyring.read_anchor(asked.anchor, asked.stream))
        while (data := asked.keep.load(_file(chain.newest.version + 1))) is not None:
            try:
                chain = cls(data, keyring.follow(chain.data, data, distrusted))
            except VerifyError as error:
                log.warning(
                    "stream %s: a keyring that was kept is passed over: %s", asked.stream, error.message
                )
                return attrs.evolve(chain, whole=False)
        return chain

    def walked(self, asked: Pull, distrusted: frozenset[bytes]) -> Chain:
        """Along those that the source has, until it says that there is none (P3, P4)."""
        chain = self
        for _ in range(HOPS):
            number = chain.newest.version + 1
            got = asked.io.get(f"keyrings/{number}.json", limit=dsse.LIMIT)
            if got is None:
                return chain
            chain = Chain(got.data, keyring.follow(chain.data, got.data, distrusted))
            asked.keep.save(_file(number), got.data)
        raise VerifyError(
            f"there are more than {HOPS} newer keyrings",
            code="keyring-rejected",
            hint="they are kept as far as that, and the next sync goes on from there",
        )


def _file(number: int) -> str:
    return f"keyring-{number}.json"
