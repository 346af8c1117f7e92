"""What a release has to keep that a verifier believes.  Rules; each is tested by its number.

S3   the release is of the stream that was asked for
S4   it holds now, for no longer than the settings allow, and was not signed in the future
S5   it is not below the highest (epoch, version) that was verified
S6   one (epoch, version) has one body
S7   it asks for nothing that this reader does not understand
"""

from __future__ import annotations

from oneiric_hookspecs import Release, VerifyError
from oneiric_hookspecs.releases import format_time

from .kept import Kept

#: Seconds by which a publisher's clock may be ahead of ours.
SKEW = 300.0
#: What a release may ask for by ``crit``: nothing yet.
UNDERSTOOD: frozenset[str] = frozenset()


def check_release(
    release: Release, stream: str, kept: Kept, max_lifetime: float, now: float, wall: float
) -> None:
    """S3 to S7: whether a release that was believed may be taken.

    Args:
        release: What the verifier says.
        stream: The name of the one that was asked for.
        kept: What is kept of it.
        max_lifetime: Seconds for which a release may say it holds.
        now: The time of this sync.
        wall: What this machine's clock says.
    Raises:
        VerifyError: With the code of the rule.
    """
    if release.stream != stream:  # S3
        raise VerifyError(
            f"it is a release of the stream {release.stream!r}",
            code="wrong-stream",
            hint=f"the settings call this one {stream!r}",
        )
    check_times(release, max_lifetime, now, wall)
    check_floor(release, kept)
    unknown = [each for each in release.crit if each not in UNDERSTOOD]
    if unknown:  # S7
        raise VerifyError(f"it asks for {unknown[0]!r}, which this reader does not understand", code="crit")
    if release.min_client and not _new_enough(release.min_client):
        raise VerifyError(f"it is for readers from {release.min_client} on", code="client-too-old")


def check_floor(release: Release, kept: Kept) -> None:
    """S5 and S6: asked once more as it is kept, for another process may have seen a newer one meanwhile."""
    floor = kept.floor
    if floor is not None and release.place < floor:  # S5
        seen = {each.place for each in (kept.release("active"), kept.release("previous")) if each is not None}
        where = f"{release.epoch}.{release.version}, below {floor[0]}.{floor[1]}, which was seen"
        if release.place in seen:
            raise VerifyError(f"the source gave {where}: a copy that lags behind", code="stale-mirror")
        raise VerifyError(f"the source gave {where}", code="rollback")
    if floor is not None and release.place == floor and kept.floor_sha256 != release.manifest.sha256:  # S6
        raise VerifyError(
            f"there are two bodies of {release.epoch}.{release.version}, and both are signed",
            code="equivocation",
            hint="whoever publishes must never sign two of one version: publish the next one",
        )


def check_times(release: Release, max_lifetime: float, now: float, wall: float) -> None:
    """S4."""
    if release.expires <= now:
        raise VerifyError(f"it has expired, at {format_time(release.expires)}", code="expired")
    if release.expires - release.issued > max_lifetime:
        days = (release.expires - release.issued) / 86_400
        raise VerifyError(
            f"it says it holds for {days:.0f} days, and {max_lifetime / 86_400:.0f} is the most that is believed",
            code="expired",
            hint="sign it for less, or raise max_lifetime",
        )
    if release.issued > wall + SKEW:
        raise VerifyError(
            f"it was signed in the future, at {format_time(release.issued)}",
            code="clock-skew",
            hint="look at this machine's clock",
        )


def _new_enough(wanted: str) -> bool:
    from importlib.metadata import version

    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion, Version

    here = version("oneiric")
    try:
        return Version(here) >= Version(wanted)
    except InvalidVersion:
        pass
    try:
        return SpecifierSet(wanted).contains(here, prereleases=True)
    except InvalidSpecifier:
        raise VerifyError(f"min_client {wanted[:40]!r} is no version (PEP 440)", code="malformed") from None
