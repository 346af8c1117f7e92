"""``oneiric manifest sign``, ``publish`` and ``bundle``."""

from __future__ import annotations

import time
from pathlib import Path

import attrs
import click
from oneiric_hookspecs import CommandContext, FileRef, Release, RemoteError, VerifyError
from oneiric_hookspecs.releases import format_time, read_file, read_json, read_release

from oneiric.plugins.pinned import dsse, keyring, keys
from oneiric.plugins.pinned import publishing as files
from oneiric.plugins.pinned import pull as pulling

from ._words import PATH, of_threshold, private_key, takes_passphrase, takes_times, times


@click.command("sign", short_help="Sign a release, one signature at a time.")
@click.argument("folder", type=PATH)
@click.option("--key", type=PATH, required=True, metavar="FILE", help="The private key.")
@click.option(
    "--keyring", "ring_file", type=PATH, metavar="FILE", help="By default the newest in the folder."
)
@click.option("--renew", is_flag=True, help="Sign the release of the head anew, to let it hold for longer.")
@takes_times(30)
@takes_passphrase
@click.pass_obj
def sign(
    context: CommandContext,
    folder: Path,
    key: Path,
    ring_file: Path | None,
    renew: bool,
    days: int,
    issued: str | None,
    passphrase_env: str | None,
) -> None:
    """Sign the release that `build` left in FOLDER; where somebody signed it already, add a signature to that.

    Nothing is fetched or sent.  The last of the signers that are needed makes the head one that readers believe.
    """
    place = ring_file or files.newest_keyring(folder)
    if place is None:
        raise files.NoSuchFile(f"{folder} has no keyrings/", hint="name one: --keyring FILE")
    ring = keyring.read(files.read_bytes(place, dsse.LIMIT), str(place))
    began, expires = times(issued, days)
    envelope = _to_sign(folder, ring, began, expires, renew=renew)
    private = private_key(key, passphrase_env)
    public = keys.public_of(private)
    keyid = next((keyid for keyid, known in ring.of(ring.release).items() if known == public), None)
    if keyid is None:
        raise VerifyError(
            f"the key of {key} may not sign releases",
            code="key",
            hint=f"keyring {ring.version} names {', '.join(ring.release.keys)}",
        )
    signed = envelope.signed(private, keyid)
    release = read_release(signed.payload)
    pulling.check(release, ring, ring.stream)
    try:
        files.write_bytes(folder / pulling.HEAD, signed.to_json() + b"\n")
    except ValueError as error:
        raise RemoteError(f"it cannot be signed: {error}") from None
    done = dsse.signers(signed, ring.of(ring.release))
    answer: dict[str, object] = {
        "head": str(folder / pulling.HEAD),
        "stream": release.stream,
        "epoch": release.epoch,
        "version": release.version,
        "expires": format_time(release.expires),
    }
    if context.json:
        answer |= {"signed": list(done), "threshold": ring.release.threshold}
    else:
        answer["signed"] = of_threshold(len(done), ring.release.threshold)
    context.show(answer, "oneiric/manifest-sign/1")


def _to_sign(folder: Path, ring: keyring.Keyring, began: int, expires: int, *, renew: bool) -> dsse.Envelope:
    head = files.head_of(folder)
    if renew:
        if head is None:
            raise files.NoSuchFile(f"{folder} has no head.json to sign anew")
        release = attrs.evolve(head[1], issued=began, expires=expires, keyring=ring.version)
        return dsse.Envelope(pulling.TYPE, files.payload(release))
    path = folder / "release.json"
    release = files.read_draft(files.read_bytes(path, dsse.LIMIT), began, expires, ring.version)
    files.check_digest(files.read_bytes(folder / release.manifest.path), release.manifest)
    if head is not None:
        before = head[1]
        timeless = attrs.evolve(release, issued=before.issued, expires=before.expires)
        if timeless == before:
            return head[0]  # one more signature of the same bytes
        if before.place > release.place:
            raise files.NotDone(
                f"release {_place(release)} is older than the head, which is {_place(before)}",
                hint="`oneiric manifest build` makes the next one",
            )
        if before.place == release.place and before.manifest != release.manifest:
            raise files.NotDone(
                f"release {_place(release)} was signed already, of another body: readers would refuse both",
                hint="`oneiric manifest build` makes the next one",
            )
    return dsse.Envelope(pulling.TYPE, files.payload(release))


@click.command("publish", short_help="Copy a stream to where readers find it.")
@click.argument("folder", type=PATH)
@click.argument("target", type=PATH)
@click.option(
    "--keyring", "anchor", type=PATH, metavar="FILE", help="What readers have; by default the first one."
)
@click.pass_obj
def publish(context: CommandContext, folder: Path, target: Path, anchor: Path | None) -> None:
    """Copy the stream of FOLDER to the folder TARGET, its head last, once it was verified as a reader does.

    It never goes back: a head that is older than the one in TARGET is refused.
    """
    first = anchor or folder / "keyrings" / "1.json"
    found = _verified(folder, first)
    release, local = found.release, files.Local(folder)
    before = files.head_of(target)
    if before is not None and before[1].place > release.place:
        raise files.NotDone(
            f"{target} has release {_place(before[1])}, and this is {_place(release)}: it never goes back"
        )
    same = before is not None and before[1].place == release.place
    if same and before is not None and before[1].manifest != release.manifest:
        raise files.NotDone(
            f"{target} has another body of release {_place(release)}: readers would refuse both"
        )
    copied = []
    for ref in artifacts_of(found.body):
        got = local.get(ref.path, limit=ref.size)
        if got is None:
            raise files.NoSuchFile(f"there is no {ref.path}, which an entry names")
        files.check_digest(got.data, ref)
        copied += _copied(target, ref.path, got.data)
    copied += _copied(target, release.manifest.path, found.body)
    for place in sorted((folder / "keyrings").glob("*.json"), key=lambda each: (len(each.stem), each.stem)):
        if place.stem.isdecimal() and int(place.stem) <= found.newest.version:
            copied += _copied(target, f"keyrings/{place.name}", files.read_bytes(place, dsse.LIMIT))
    copied += _copied(target, pulling.HEAD, files.read_bytes(folder / pulling.HEAD, dsse.LIMIT))
    context.show(
        {
            "stream": release.stream,
            "epoch": release.epoch,
            "version": release.version,
            "target": str(target),
            "written": copied if context.json else len(copied),
        },
        "oneiric/manifest-publish/1",
    )


@click.command("bundle", short_help="Write a stream into one file.")
@click.argument("folder", type=PATH)
@click.argument("file", type=PATH)
@click.option(
    "--keyring", "anchor", type=PATH, metavar="FILE", help="What readers have; by default the first one."
)
@click.pass_obj
def bundle(context: CommandContext, folder: Path, file: Path, anchor: Path | None) -> None:
    """Write the stream of FOLDER into one FILE, once it was verified as a reader does.

    Keyrings and artifacts are not in it: its readers need the newest keyring.
    """
    found = _verified(folder, anchor or folder / "keyrings" / "1.json")
    head = files.read_bytes(folder / pulling.HEAD, dsse.LIMIT).strip()
    envelope = dsse.read(head, pulling.TYPE, "the head")
    files.write_bytes(file, envelope.to_json() + b"\n" + found.body)
    context.show(
        {
            "stream": found.release.stream,
            "epoch": found.release.epoch,
            "version": found.release.version,
            "file": str(file),
            "keyring": found.newest.version,
        },
        "oneiric/manifest-bundle/1",
    )


def artifacts_of(body: bytes) -> list[FileRef]:
    """The artifacts that the entries of a body name, each once."""
    found = {}
    for number, line in enumerate(body.splitlines()[1:], 2):
        if b'"artifact"' in line:
            entry = read_json(line, "the body", line=number)
            data = entry.get("artifact") if isinstance(entry, dict) else None
            if data is not None:
                ref = read_file(data, f"the artifact on line {number}")
                found[ref.path] = ref
    return list(found.values())


def _verified(folder: Path, anchor: Path) -> files.Verified:
    data = files.read_bytes(anchor, dsse.LIMIT)
    stream = keyring.read(data, str(anchor)).stream
    local = files.Local(folder)
    return files.verified(local, data, stream, time.time(), max_days=36_500, body=local.body)


def _copied(target: Path, path: str, data: bytes) -> list[str]:
    """Write a file unless it is there; gives its path if it was not."""
    place = target / path
    if place.exists() and files.read_bytes(place) == data:
        return []
    files.write_bytes(place, data)
    return [path]


def _place(release: Release) -> str:
    return f"{release.epoch}.{release.version}"
