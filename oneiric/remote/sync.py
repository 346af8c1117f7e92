"""One sync of one stream.  Rules, in order; each is tested by its number.

S1   the time is fixed once, and never before the newest release that was believed was issued
S2   what the verifier did not believe is nothing
S3   to S7 are those of a release: see ``rules``
S8   the body has the size and the digest that were signed
S9   now the floor rises, whatever comes of the rest
S10  the body is well formed, and says the stream and version of its release
S11  every check agrees
S12  artifacts have the size and the digest that were signed
S13  what is registered changes in one step, or not at all
S14  what was registered is kept; what cannot be kept is taken back
S15  what was refused is not looked at again before the policy is another
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs
from oneiric_hookspecs import (
    EntryIdentity,
    FetchError,
    FileRef,
    Malformed,
    OneiricError,
    Pull,
    Pulled,
    Rejected,
    Release,
    RemoteError,
    Secret,
    SourceSpec,
    SyncReport,
    Verifier,
    VerifyError,
)

from .applying import apply, take_back
from .artifacts import artifacts_of, fetch_artifacts
from .changes import Plan
from .decoding import Decoded, decode
from .force import Force
from .keeping import Aside
from .kept import Accepted, Kept, Verdict
from .planning import plan
from .rules import check_floor, check_release, check_times
from .transport import ReplayIO, StreamIO

if TYPE_CHECKING:
    from .stream import Stream

#: Seconds after which newer keys are looked for though nothing changed.
PROBE = 86_400.0
#: Refusals for reasons that may be gone at the next sync, without another release or policy.
PASSING: frozenset[str] = frozenset(
    (
        "artifact",
        "conflict",
        "deadline",
        "digest",
        "distributions",
        "equivocation",
        "factory",
        "io",
        "plugin-error",
        "rollback",
        "size",
        "stale-mirror",
    )
)


class Sync:
    """One sync.

    Args:
        stream: Whose.
        credential: What is sent along; None for nothing.
        dry_run: Whether nothing is registered or kept.
        offline: Whether what was accepted last is verified again, and nobody asked.
    """

    def __init__(
        self, stream: Stream, credential: Secret | None, *, dry_run: bool = False, offline: bool = False
    ) -> None:
        self._stream, self._credential = stream, credential
        self._dry, self._offline = dry_run, offline
        self._io: StreamIO | ReplayIO | None = None
        self._skipped: tuple[tuple[EntryIdentity, str], ...] = ()
        self._signers: tuple[str, ...] = ()

    def run(self) -> SyncReport:
        """Ask, and accept what is to be accepted.

        Raises:
            OneiricError: It is refused, or could not be had; what was in force still is.
        """
        stream = self._stream
        kept = stream.kept = stream.reloaded()
        wall = stream.wall()
        now = max(wall, kept.clock_floor)  # S1
        if self._offline:
            assert kept.active is not None
            files = {
                path: data
                for path, name in kept.active.pulled.items()
                if name is not None and (data := stream.files.blob(name)) is not None
            }
            self._io = ReplayIO(files)
            again = self._pulled(kept, now, kept.active.release, kept.active.etag)
            return self._taken(again, kept, now, wall)
        self._io = StreamIO(stream.source(self._spec()), clock=stream.monotonic)
        try:
            refused = self._standing(kept)
            if refused is not None:
                pulled = self._pulled(kept, now, refused.release, refused.etag)
                if pulled.unchanged or pulled.release == refused.release:
                    raise Rejected(refused.detail, code=refused.code, line=refused.line)  # S15
            else:
                force = stream.force
                pulled = self._pulled(kept, now, force.release, force.etag)
                if pulled.unchanged:
                    return self._unchanged(pulled, kept, now, wall)
            return self._taken(pulled, kept, now, wall)
        except FetchError:
            stream.close()  # the next sync begins with a connection of its own
            raise

    def told(self, report: SyncReport) -> SyncReport:
        """*report* with what this sync knows beyond it."""
        io = self._io
        return self._stream.in_force(
            report,
            signers=self._signers,
            skipped=self._skipped,
            sent=io.received if isinstance(io, StreamIO) else 0,
            digests=io.digests if isinstance(io, StreamIO) else 0,
        )

    # --- what the verifier says ------------------------------------------------------------------------------------

    def _pulled(self, kept: Kept, now: float, known: Release | None, etag: str | None) -> Pulled:
        """S2."""
        stream = self._stream
        verifier = stream.verifier()
        keep = Aside(stream.files.keep) if self._dry else stream.files.keep
        assert self._io is not None
        asked = Pull(
            stream.name,
            stream.anchor(),
            self._io,
            keep,
            now,
            known=known,
            etag=etag,
            probe=now - kept.probed_at >= PROBE,
            offline=self._offline,
        )
        pulled = _believed(verifier, asked)
        self._signers = pulled.signers
        if pulled.probed and not self._dry and not self._offline:
            stream.update(lambda kept: attrs.evolve(kept, probed_at=now))
        return pulled

    def _standing(self, kept: Kept) -> Verdict | None:
        """The refusal that still stands."""
        verdict = kept.verdict
        if verdict is None or verdict.code in PASSING or verdict.policy != self._stream.policy():
            return None
        return verdict

    def _spec(self) -> SourceSpec:
        section = self._stream.section
        return SourceSpec(
            self._stream.name,
            section.url,
            credential=self._credential,
            folder=str(self._stream.folder),
            header=section.auth_header,
            redirects=section.redirects,
            ca_file=None
            if section.ca_file is None
            else str(self._stream.folder / section.ca_file.expanduser()),
        )

    def _unchanged(self, pulled: Pulled, kept: Kept, now: float, wall: float) -> SyncReport:
        release = self._stream.force.release
        assert release is not None
        check_times(release, self._stream.section.max_lifetime, now, wall)
        check_floor(release, kept)  # a newer one may have been seen, of which a file is missing
        if not self._dry:
            self._heal()
        return self.told(SyncReport(self._stream.name, "unchanged"))

    # --- what it contains --------------------------------------------------------------------------------------------

    def _taken(self, pulled: Pulled, kept: Kept, now: float, wall: float) -> SyncReport:
        """S3 to S15, of a release that is believed."""
        stream, release = self._stream, pulled.release
        if not self._offline:
            check_release(release, stream.name, kept, stream.section.max_lifetime, now, wall)
        body = self._body(release)
        try:
            decoded = self._decoded(release, body)
            chosen = plan(stream, decoded, release.allow_removals)  # S11
            self._skipped = tuple(chosen.skipped.items())
            artifacts = fetch_artifacts(stream, self._io, chosen, dry_run=self._dry)  # S12
            before = stream.force.release
            if not self._dry:
                self._accept(pulled, kept, decoded, chosen, body, artifacts)
        except (Malformed, Rejected, VerifyError) as error:
            self._refuse(pulled, error)
            raise
        except BaseException:
            self._see(release)
            raise
        changes, new = chosen.changes, before is None or before.place != release.place
        return self.told(
            SyncReport(
                stream.name,
                "applied" if new or changes else "unchanged",
                added=changes.added,
                changed=changes.changed,
                removed=changes.removed,
            )
        )

    def _body(self, release: Release) -> bytes:
        """S8."""
        body = self._stream.files.blob(release.manifest.sha256)
        if body is None:
            if not isinstance(self._io, StreamIO):
                raise RemoteError(
                    "its body is not there any more, or damaged", hint="the next sync fetches it again"
                )
            body = self._io.body(release.manifest)
        return body

    def _decoded(self, release: Release, body: bytes) -> Decoded:
        """S10."""
        stream = self._stream
        decoded = decode(
            body,
            lenient=stream.section.unknown_fields == "warn",
            previous=stream.force.decoded,
            sha256=release.manifest.sha256,
        )
        manifest = decoded.manifest
        if (manifest.stream, manifest.version) != (stream.name, release.version):
            raise Malformed(
                f"the body says {manifest.stream} {manifest.version}, and its release {stream.name} {release.version}",
                line=1,
            )
        for sentence in decoded.warnings:
            stream.warn(sentence)
        return decoded

    def _refuse(self, pulled: Pulled, error: RemoteError) -> None:
        """S9 and S15, of a release whose body is there."""
        if self._dry or self._offline:
            return
        # A line that cannot be read stays so.  What does not fit, does not fit code and settings of this machine, which
        # are no part of the policy: no policy is such a refusal's, and so it passes.
        unfit = isinstance(error, Rejected) and error.code == "malformed"
        verdict = Verdict(
            pulled.release,
            error.code,
            getattr(error, "line", None),
            self._stream.masked(error.message),
            "" if unfit else self._stream.policy(),
            pulled.etag,
        )
        self._stream.update(lambda kept: attrs.evolve(_seen(kept, pulled.release), verdict=verdict))

    def _see(self, release: Release) -> None:
        """S9, of a release that comes to nothing for a reason that is not its own: a file that is not there yet."""
        if self._dry or self._offline:
            return
        with contextlib.suppress(RemoteError, OSError):  # that it cannot be kept may be the very reason
            self._stream.update(lambda kept: _seen(kept, release))

    def _accept(
        self,
        pulled: Pulled,
        kept: Kept,
        decoded: Decoded,
        chosen: Plan,
        body: bytes,
        artifacts: Mapping[str, FileRef],
    ) -> None:
        """S13 and S14."""
        stream, release, before = self._stream, pulled.release, self._stream.force
        names = {} if self._offline else self._stored(body)
        undone = apply(stream, chosen, artifacts)  # S13
        stream.force = Force(release, decoded, chosen.registered, pulled.etag, tuple(artifacts.values()))
        if self._offline:
            return
        again = kept.active is not None and kept.active.release.place == release.place
        accepted = Accepted(
            release,
            pulled.etag,
            kept.active.applied_at if again and kept.active is not None else stream.wall(),
            pulled.signers,
            names,
            tuple(sorted(artifacts)),
            chosen.retained,
        )

        def commit(kept: Kept) -> Kept:
            check_floor(release, kept)
            return _seen(kept, release).accept(accepted)

        try:
            stream.update(commit)
        except BaseException:
            take_back(stream, undone)  # S14
            stream.force = before
            raise
        stream.files.sweep()
        artifacts_of(stream).sweep(stream.kept.artifacts)

    def _heal(self) -> None:
        """Have artifacts brought again that are gone: set aside, as they were damaged, or wiped with the cache."""
        refs = self._stream.force.artifacts
        if not refs or not isinstance(self._io, StreamIO):
            return
        artifacts = artifacts_of(self._stream)
        for ref in refs:
            if not artifacts.there(ref):
                artifacts.put(ref, functools.partial(self._io.artifact, ref))

    def _stored(self, body: bytes) -> dict[str, str | None]:
        """The body, and what the verifier read, as blobs; the latter by path."""
        files = self._stream.files
        files.put(body)
        assert isinstance(self._io, StreamIO)
        return {path: files.put(data) for path, data in self._io.recorded.items()}


def _seen(kept: Kept, release: Release) -> Kept:
    """S9: *kept*, with the floor and the clock at *release*, if that is higher."""
    raised = kept.raised(release.place, release.manifest.sha256)
    return attrs.evolve(raised, clock_floor=max(kept.clock_floor, release.issued))


def _believed(verifier: Verifier, asked: Pull) -> Pulled:
    try:
        pulled = verifier.pull(asked)
    except OneiricError:
        raise
    except Exception as error:
        raise VerifyError(
            f"the verifier {verifier.name} failed: {type(error).__name__}: {error}", code="plugin-error"
        ) from error
    if not isinstance(pulled, Pulled):
        raise VerifyError(
            f"the verifier {verifier.name} answered a {type(pulled).__name__}, not a Pulled",
            code="plugin-error",
        )
    if pulled.unchanged and asked.known is None:
        raise VerifyError(f"the verifier {verifier.name} says unchanged of nothing", code="plugin-error")
    return pulled
