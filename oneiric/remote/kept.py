"""What is kept of a stream on this machine, as values and as the JSON of ``state.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, cast, get_args

import attrs
from oneiric_hookspecs import Release
from oneiric_hookspecs.releases import Fields, format_time, read_json, read_release
from oneiric_hookspecs.remote import Code

#: The form of the file; one of another form is damaged to whoever reads it.
SCHEMA = "oneiric/stream/1"


@attrs.frozen
class Accepted:
    """A release that was registered.

    Args:
        release: What was signed.
        etag: What the source knew its head by.
        applied_at: When it was first registered here, in seconds since 1970.
        signers: By whom it was believed.
        pulled: What the verifier read, by path: the name of the blob; None where the source said there is none.
        artifacts: The digests of the files that its entries are made from.
        retained: The lines of entries that an older release brought and that still stand, as nothing good took their
            place (``mode = "isolate"``).
    """

    release: Release
    etag: str | None = None
    applied_at: float = 0.0
    signers: tuple[str, ...] = ()
    pulled: Mapping[str, str | None] = attrs.field(factory=dict)
    artifacts: tuple[str, ...] = ()
    retained: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """The name of its body among the blobs."""
        return self.release.manifest.sha256

    @property
    def blobs(self) -> set[str]:
        """Every blob it refers to."""
        return {self.sha256, *(name for name in self.pulled.values() if name is not None)}


@attrs.frozen
class Verdict:
    """Why a release was refused; the same one is not looked at again until the policy is another.

    Args:
        release: What was signed.
        code: The word for it.
        line: Of the body; None for none.
        detail: In a sentence.
        policy: What the settings that decided were, as a digest.
        etag: What the source knew its head by.
    """

    release: Release
    code: Code
    line: int | None = None
    detail: str = ""
    policy: str = ""
    etag: str | None = None


@attrs.frozen
class Kept:
    """All of it.

    Args:
        floor: The highest (epoch, version) that was verified; None for none.
        floor_sha256: The body of that one.
        active: The release in force; None for none.
        previous: The one before.
        clock_floor: When the newest release that was verified was signed, in seconds since 1970.
        verdict: What was refused last, and not replaced since.
        failures: Syncs that failed in a row.
        next_attempt: When it is due, in seconds since 1970; 0 for at once.
        probed_at: When newer keys were last looked for, the same.
        damaged: What could not be read, in a sentence; empty for nothing.
    """

    floor: tuple[int, int] | None = None
    floor_sha256: str = ""
    active: Accepted | None = None
    previous: Accepted | None = None
    clock_floor: int = 0
    verdict: Verdict | None = None
    failures: int = 0
    next_attempt: float = 0.0
    probed_at: float = 0.0
    damaged: str = attrs.field(default="", eq=False)

    def release(self, which: Literal["active", "previous"]) -> Release | None:
        """The release of one of the two."""
        accepted = self.active if which == "active" else self.previous
        return None if accepted is None else accepted.release

    def raised(self, floor: tuple[int, int] | None, sha256: str) -> Kept:
        """The same, with a floor that is nowhere below *floor*."""
        if floor is None or (self.floor is not None and self.floor >= floor):
            return self
        return attrs.evolve(self, floor=floor, floor_sha256=sha256)

    def accept(self, accepted: Accepted) -> Kept:
        """The same, with *accepted* in force, and what was before it; one that is signed anew is no other."""
        again = self.active is not None and self.active.release.place == accepted.release.place
        return attrs.evolve(
            self, active=accepted, previous=self.previous if again else self.active, verdict=None
        )

    @property
    def blobs(self) -> set[str]:
        """Every blob that is referred to."""
        return {name for each in (self.active, self.previous) if each is not None for name in each.blobs}

    @property
    def artifacts(self) -> set[str]:
        """Every artifact that is referred to."""
        return {name for each in (self.active, self.previous) if each is not None for name in each.artifacts}


def to_json(kept: Kept) -> bytes:
    """The text of ``state.json``."""
    verdict = kept.verdict
    plain = {
        "schema": SCHEMA,
        "floor": None if kept.floor is None else list(kept.floor),
        "floor_sha256": kept.floor_sha256,
        "active": _accepted(kept.active),
        "previous": _accepted(kept.previous),
        "clock_floor": kept.clock_floor,
        "verdict": None if verdict is None else _verdict(verdict),
        "failures": kept.failures,
        "next_attempt": kept.next_attempt,
        "probed_at": kept.probed_at,
    }
    return json.dumps(plain, indent=1, ensure_ascii=True, allow_nan=False).encode() + b"\n"


def of_json(data: bytes) -> Kept:
    """What such a text says.

    Raises:
        Malformed: It is damaged.
    """
    fields = Fields(read_json(data, "what is kept"), "what is kept")
    if fields.take("schema", str) != SCHEMA:
        raise fields.wrong("schema", SCHEMA)
    floor = fields.take("floor", list, type(None))
    kept = Kept(
        floor=None if floor is None else _place(floor, fields),
        floor_sha256=fields.take("floor_sha256", str),
        active=_read_accepted(fields.take("active", dict, type(None))),
        previous=_read_accepted(fields.take("previous", dict, type(None))),
        clock_floor=fields.number("clock_floor", least=0),
        verdict=_read_verdict(fields.take("verdict", dict, type(None))),
        failures=fields.number("failures", least=0),
        next_attempt=float(fields.take("next_attempt", float, int)),
        probed_at=float(fields.take("probed_at", float, int)),
    )
    fields.end()
    return kept


def release_json(release: Release) -> dict[str, Any]:
    """A release in the form in which it is signed."""
    plain = attrs.asdict(release)
    plain["crit"] = list(release.crit)
    return {
        "spec": "1",
        **plain,
        "issued": format_time(release.issued),
        "expires": format_time(release.expires),
    }


def _accepted(accepted: Accepted | None) -> dict[str, Any] | None:
    if accepted is None:
        return None
    return {
        "release": release_json(accepted.release),
        "etag": accepted.etag,
        "applied_at": accepted.applied_at,
        "signers": list(accepted.signers),
        "pulled": dict(accepted.pulled),
        "artifacts": list(accepted.artifacts),
        "retained": list(accepted.retained),
    }


def _read_accepted(data: Any) -> Accepted | None:
    if data is None:
        return None
    fields = Fields(data, "a release that is kept")
    release = read_release(json.dumps(fields.take("release", dict)).encode())
    etag = fields.take("etag", str, type(None))
    applied_at = float(fields.take("applied_at", float, int))
    pulled = fields.take("pulled", dict)
    if not all(value is None or isinstance(value, str) for value in pulled.values()):
        raise fields.wrong("pulled", "names of blobs by path")
    accepted = Accepted(
        release,
        etag,
        applied_at,
        fields.texts("signers"),
        pulled,
        fields.texts("artifacts", most=1_000_000),
        fields.texts("retained", most=1_000_000),
    )
    fields.end()
    return accepted


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {**attrs.asdict(verdict, recurse=False), "release": release_json(verdict.release)}


def _read_verdict(data: Any) -> Verdict | None:
    if data is None:
        return None
    fields = Fields(data, "a verdict")
    code = fields.take("code", str)
    if code not in get_args(Code):
        raise fields.wrong("code", "one that is known")
    verdict = Verdict(
        read_release(json.dumps(fields.take("release", dict)).encode()),
        cast("Code", code),
        fields.take("line", int, type(None)),
        fields.take("detail", str),
        fields.take("policy", str),
        fields.take("etag", str, type(None)),
    )
    fields.end()
    return verdict


def _place(data: Any, fields: Fields) -> tuple[int, int]:
    if len(data) != 2 or not all(each.__class__ is int for each in data):
        raise fields.wrong("floor", "epoch and version")
    return data[0], data[1]
