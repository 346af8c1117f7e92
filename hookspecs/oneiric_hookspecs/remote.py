"""Streams: what is published, who brings it, who believes it, and what is known of a sync."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

import attrs

from .errors import Objection, PluginError
from .keys import check_name
from .secrets import Secret
from .state import JSON

#: Why something was refused, or could not be had: the only words of it that metrics may carry.
Code = Literal[
    "signature",
    "threshold",
    "key",
    "wrong-stream",
    "wrong-type",
    "expired",
    "clock-skew",
    "rollback",
    "stale-mirror",
    "equivocation",
    "keyring-rejected",
    "keyring-withheld",
    "malformed",
    "too-large",
    "size",
    "digest",
    "encoding",
    "redirect",
    "origin",
    "deadline",
    "scope",
    "factory",
    "secret",
    "distributions",
    "conflict",
    "prune",
    "client-too-old",
    "crit",
    "policy",
    "plugin-error",
    "artifact",
    "io",
    "unreachable",
    "http-status",
]

#: (domain, key, provider, version): what an entry of a stream is known by; the version is empty where it has none.
EntryIdentity = tuple[str, str, str, str]


@attrs.frozen
class FileRef:
    """A file of a stream that never changes: what it is called, how long it is, what it hashes to.

    Args:
        sha256: In lower-case hexadecimal.
        size: Bytes.
        path: Relative to the stream's address.
        media_type: What it holds.
    """

    sha256: str
    size: int
    path: str
    media_type: str = "application/octet-stream"


@attrs.frozen
class Release:
    """What a publisher signs: which body is the stream's newest, and for how long that may be believed.

    Args:
        stream: Whose it is.
        epoch: Grows when version numbers start anew.
        version: Grows with every release of an epoch.
        issued: When it was signed, in seconds since 1970 (UTC).
        expires: Until when it may be believed, the same.
        manifest: The body.
        keyring: The number of the newest keyring when it was signed.
        allow_removals: How many entries may vanish with it; 0 leaves that to the reader's guard.
        min_client: Versions of the reader that it is for (PEP 440); empty for all.
        crit: What a reader has to understand.
        note: For people.
    """

    stream: str
    epoch: int
    version: int
    issued: int
    expires: int
    manifest: FileRef
    keyring: int = 1
    allow_removals: int = 0
    min_client: str = ""
    crit: tuple[str, ...] = ()
    note: str = ""

    @property
    def place(self) -> tuple[int, int]:
        """(epoch, version): releases are compared by it."""
        return (self.epoch, self.version)


@attrs.frozen
class Entry:
    """One line of a body: a candidate, as a publisher describes it.

    Args:
        domain: The domain of what it could fill.
        key: The name of that.
        provider: Its name among the candidates of the key.
        factory: ``ep:NAME`` of the entry-point group ``oneiric.factories``, or ``pkg.mod:attr`` where the reader
            allows it.
        version: Of the candidate (PEP 440); empty for none.
        priority: Higher wins.
        stack_level: Higher wins among equal priorities.
        settings: A table under what the reader's settings say.
        needs: Keys, as ``adapter:cache``.
        distributions: What has to be installed (PEP 508); nothing is installed for it.
        python: The interpreters it runs on (PEP 440); elsewhere it is passed over.
        platforms: Values of ``sys.platform``; elsewhere it is passed over.
        capabilities: What it can do.
        conflicts: Providers that must not be registered under the same key.
        artifact: A file it is made from.
        timeout: Seconds for each call, where its domain has such a limit.
        retry: How often a call is tried again, where its domain has that: the fields of ``Retry``.
        data: What its domain wants to know of it.
        owner: Whom to ask.
        license: Under which it is published.
        docs: Where to read on.
        enabled: Whether it is registered.
        labels: Anything, to be shown.
    """

    domain: str
    key: str
    provider: str
    factory: str
    version: str = ""
    priority: int = 0
    stack_level: int = 0
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    needs: tuple[str, ...] = ()
    distributions: tuple[str, ...] = ()
    python: str = ""
    platforms: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    artifact: FileRef | None = None
    timeout: float | None = None
    retry: Mapping[str, Any] | None = None
    data: JSON = None
    owner: str = ""
    license: str = ""
    docs: str = ""
    enabled: bool = True
    labels: Mapping[str, Any] = attrs.field(factory=dict)

    @property
    def identity(self) -> EntryIdentity:
        """What it is known by."""
        return (self.domain, self.key, self.provider, self.version)


@attrs.frozen
class Manifest:
    """A body that was read.

    Args:
        stream: Whose.
        version: Of its release.
        entries: By identity, in the order of the body.
        lines: The number of the line of each, by identity; the first entry stands on line 2.
        sha256: What its bytes hash to.
    """

    stream: str
    version: int
    entries: Mapping[EntryIdentity, Entry] = attrs.field(repr=False)
    lines: Mapping[EntryIdentity, int] = attrs.field(repr=False, eq=False)
    sha256: str = ""


@attrs.frozen
class Changes:
    """What a manifest changes against the one that is in force.

    Args:
        added: Identities that are new.
        changed: Identities whose line is another one.
        removed: Identities that are gone.
        before: How many there were.
        allow_removals: How many may vanish, as the release says; 0 where it does not.
    """

    added: tuple[EntryIdentity, ...] = ()
    changed: tuple[EntryIdentity, ...] = ()
    removed: tuple[EntryIdentity, ...] = ()
    before: int = 0
    allow_removals: int = 0

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


@attrs.frozen
class EntryObjection(Objection):
    """Why a judge says no to a manifest, or to one entry of it.

    Args:
        code: The word for it.
        entry: Which entry; None for the whole, which ``mode = "isolate"`` does not save.
    """

    code: Code = "policy"
    entry: EntryIdentity | None = None


@attrs.frozen
class StreamView:
    """What plugins may know of a stream: ``[remote.NAME]``.

    Args:
        name: Its name.
        url: Where it is, without credentials.
        scope: Patterns of keys it may bring: ``adapter:*``.
        factories: Modules, and dotted parts of them, whose factories it may name; ``ep:NAME`` needs none.
        priority_band: The least and the greatest priority of its entries.
        secrets: The names of the secrets its entries may refer to.
        mode: ``whole``: one bad entry refuses the release.  ``isolate``: what it would replace stays.
        max_lifetime: The longest time between ``issued`` and ``expires``, in seconds.
    """

    name: str
    url: str
    scope: tuple[str, ...] = ("*:*",)
    factories: tuple[str, ...] = ()
    priority_band: tuple[int, int] = (0, 100)
    secrets: tuple[str, ...] = ()
    mode: Literal["whole", "isolate"] = "whole"
    max_lifetime: float = 30 * 86_400.0

    def may_name(self, factory: str) -> bool:
        """Whether ``factories`` names *factory*, as ``pkg.mod:attr``: itself, its module, or a package above that."""
        module = factory.partition(":")[0]
        return any(
            each == factory or (":" not in each and (each == module or module.startswith(f"{each}.")))
            for each in self.factories
        )


# Bringing ---------------------------------------------------------------------------------------------------------


class Sink(Protocol):
    """Where a fetcher puts the bytes of a file, as they come.  It is the kernel's, and so are its limits."""

    def write(self, chunk: bytes) -> None:
        """Take a piece.

        Raises:
            FetchError: There are more bytes than may be, or it takes too long; the fetcher lets it pass.
        """

    @property
    def left(self) -> float:
        """Seconds until it takes too long; what waits for a piece waits no longer.  Never below 0."""


@attrs.frozen
class Fetched:
    """What came of asking for a file.

    Args:
        status: ``ok``: its bytes are in the sink.  ``unchanged``: it is what it was when *etag* was given.  ``absent``:
            there is none, which the source says itself; that it cannot be had is a FetchError.
        etag: What the source knows these bytes by; None where it does not say.
    """

    status: Literal["ok", "unchanged", "absent"]
    etag: str | None = None


class Fetching(Protocol):
    """A source that was opened; used by one thread at a time, and never the loop's."""

    def get(self, path: str, sink: Sink, *, etag: str | None = None) -> Fetched:
        """Put the bytes of a file into *sink*.  It never sleeps, and never tries again.

        Args:
            path: Relative to the address: checked by the kernel, without ``..``.
            sink: Takes them.
            etag: What the source knew the file by that is there already.
        Raises:
            FetchError: It cannot be had, with ``retry_after`` where the source names a time.
        """

    def close(self) -> None:
        """Let go of everything; a second time does nothing."""


@attrs.frozen
class SourceSpec:
    """What a fetcher is told when it is to open a source.

    Args:
        stream: The stream's name.
        url: Its address.
        credential: What is sent along, to the address's own origin only; None for nothing.
        header: The header it is sent in; in ``Authorization`` it goes as ``Bearer``.
        redirects: Hosts, each as ``host`` or ``host:port``, to which an answer may point; https only.
        ca_file: Certificates to trust instead of the system's; None for those.
        connect_timeout: Seconds to connect.
        folder: The folder that a relative address is relative to: that of the settings; empty where there is none.
    """

    stream: str
    url: str
    credential: Secret | None = None
    header: str = "Authorization"
    redirects: tuple[str, ...] = ()
    ca_file: str | None = None
    connect_timeout: float = 5.0
    folder: str = ""


@attrs.frozen
class Fetcher:
    """A kind of source, declared by ``oneiric_fetchers``; chosen by the scheme of a stream's address.

    Args:
        scheme: ``https``.
        open: ``open(SourceSpec)`` gives a ``Fetching``; raises a FetchError, or a PluginError where the address is
            none.
        summary: One line for people.
    """

    scheme: str
    open: Callable[[SourceSpec], Fetching] = attrs.field(eq=False, repr=False)
    summary: str = ""

    def __attrs_post_init__(self) -> None:
        check_name(self.scheme, "scheme of a fetcher")
        if not callable(self.open):
            raise PluginError(f"fetcher {self.scheme}: open is called, found {self.open!r}")


# Believing --------------------------------------------------------------------------------------------------------


@attrs.frozen
class Got:
    """A file of a stream.

    Args:
        data: Its bytes; empty where it is unchanged.
        etag: What the source knows it by; None where it does not say.
        unchanged: Whether the source says that it is what it was.
    """

    data: bytes = attrs.field(repr=False)
    etag: str | None = None
    unchanged: bool = False


class RemoteIO(Protocol):
    """How a verifier reads a stream.  Limits and deadlines are the kernel's."""

    def get(self, path: str, *, limit: int, etag: str | None = None) -> Got | None:
        """A file of the stream; None where the source says that there is none.

        Args:
            path: Relative to the stream's address.
            limit: The most bytes it may have; what is not signed yet has 16384 at most.
            etag: What the source knew it by before.
        Raises:
            FetchError: It cannot be had, or is longer.
        """


class Keep(Protocol):
    """Small files of a stream's verifier, kept from sync to sync; each is written whole, or not at all, and at once."""

    def load(self, name: str) -> bytes | None:
        """What was saved under *name*; None where nothing was."""

    def save(self, name: str, data: bytes) -> None:
        """Save *data*, to be there after a crash.  Raises: RemoteError, with the code ``io``."""

    def names(self) -> list[str]:
        """What was saved, sorted."""


@attrs.frozen
class Pull:
    """What a verifier is asked: to say what the newest release of a stream is.

    Args:
        stream: The stream's name.
        anchor: What ``[remote.NAME] keyring`` names, as it was read.
        io: Reads the stream.
        keep: Its own files.
        now: Seconds since 1970 (UTC), fixed for the sync; never before the newest release that was believed was issued.
        known: The release in force, or refused last; None for none.
        etag: What the source knew the head of *known* by; None where it did not say.
        probe: Whether to look for newer keys though the head has not changed.
        offline: Whether it reads what was kept when *known* was pulled, as the source is not asked.
    """

    stream: str
    anchor: bytes = attrs.field(repr=False)
    io: RemoteIO = attrs.field(repr=False)
    keep: Keep = attrs.field(repr=False)
    now: float
    known: Release | None = None
    etag: str | None = None
    probe: bool = False
    offline: bool = False


@attrs.frozen
class Pulled:
    """A release that a verifier believes.

    Args:
        release: What it says.  The kernel checks stream, times, floor, size and digest again.
        etag: What the source knows its head by.
        signers: By whom it is believed, for people: ids of keys.
        probed: Whether newer keys were looked for.
        unchanged: Whether it is *known*; then the release is that one, and was not verified anew.
    """

    release: Release
    etag: str | None = None
    signers: tuple[str, ...] = ()
    probed: bool = False
    unchanged: bool = False


@attrs.frozen
class Verifier:
    """Who decides whether a release is to be believed, declared by ``oneiric_verifiers``; chosen by name.

    Args:
        name: What ``[remote.NAME] verifier`` says: ``pinned``.
        pull: ``pull(Pull)`` gives a ``Pulled``.  Raises VerifyError with a code, Malformed, or a FetchError.  It is
            called in a thread that is not the loop's.
        check: ``check(stream, anchor, now)`` raises a VerifyError where the anchor can verify nothing: called before
            the first sync.  None where nobody can say.
        summary: One line for people.
    """

    name: str
    pull: Callable[[Pull], Pulled] = attrs.field(eq=False, repr=False)
    check: Callable[[str, bytes, float], object] | None = attrs.field(default=None, eq=False, repr=False)
    summary: str = ""

    def __attrs_post_init__(self) -> None:
        check_name(self.name, "verifier")
        if not callable(self.pull):
            raise PluginError(f"verifier {self.name}: pull is called, found {self.pull!r}")


@attrs.frozen
class Trust:
    """What is known here of whom a stream's verifier believes: what ``Host.trust`` gives.

    Args:
        stream: The stream's name.
        anchor: What ``[remote.NAME] keyring`` names, as it was read.
        keep: The verifier's own files.
    """

    stream: str
    anchor: bytes = attrs.field(repr=False)
    keep: Keep = attrs.field(repr=False)


class SourceIO(RemoteIO, Protocol):
    """A stream that need not be in the settings, as ``Host.source`` opens it."""

    def body(self, ref: FileRef) -> bytes:
        """A file that was signed, whole.

        Args:
            ref: The file.
        Raises:
            FetchError: It cannot be had.
            VerifyError: It has another size or digest than was signed: ``size``, ``digest``.
        """


# What came of it --------------------------------------------------------------------------------------------------


def _identities(given: Iterable[EntryIdentity]) -> tuple[EntryIdentity, ...]:
    return tuple(given)


@attrs.frozen
class SyncReport:
    """What came of one sync of one stream.

    Args:
        stream: Which.
        outcome: ``applied``, ``unchanged``, ``rejected`` (what came is not accepted), ``unreachable`` (nothing came).
        code: Why it was not applied; None where it was, or nothing changed.
        line: Of the body that is meant; None for none.
        detail: Why, in a sentence; may name addresses, and is for people only.
        epoch: Of the release that is in force now; None for none.
        version: The same.
        added: What was registered.
        changed: What took the place of what was there.
        removed: What was withdrawn.
        skipped: What is not for this process, or is kept back, and why.
        stale: Whether the release in force has expired.
        signers: By whom it is believed.
        sent: Bytes that were fetched.
        digests: How many digests were checked.
        domains: How many entries are in force, by domain.
        duration_ms: Milliseconds.
        retry_after: Seconds after which the source wants to be asked again; None where it does not say.
    """

    stream: str
    outcome: Literal["applied", "unchanged", "rejected", "unreachable"]
    code: Code | None = None
    line: int | None = None
    detail: str = ""
    epoch: int | None = None
    version: int | None = None
    added: tuple[EntryIdentity, ...] = attrs.field(default=(), converter=_identities)
    changed: tuple[EntryIdentity, ...] = attrs.field(default=(), converter=_identities)
    removed: tuple[EntryIdentity, ...] = attrs.field(default=(), converter=_identities)
    skipped: Sequence[tuple[EntryIdentity, str]] = ()
    stale: bool = False
    signers: tuple[str, ...] = ()
    sent: int = 0
    digests: int = 0
    domains: Mapping[str, int] = attrs.field(factory=dict)
    duration_ms: float = 0.0
    retry_after: float | None = None
