"""``oneiric manifest build`` and ``oneiric manifest diff``."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from oneiric_hookspecs import CommandContext, FileRef, Malformed, Manifest, Release
from oneiric_hookspecs.releases import read_json

from oneiric.plugins.pinned import keyring
from oneiric.plugins.pinned import publishing as files

from ._words import PATH

_IDENTITY = ("domain", "key", "provider", "version")


@click.command("build", short_help="Make a body and a release from entries.")
@click.argument("sources", nargs=-1, type=PATH, required=True, metavar="SOURCE...")
@click.option(
    "--stream", metavar="NAME", help="Whose it is; by default that of the newest keyring in the folder."
)
@click.option("--out", type=PATH, required=True, metavar="FOLDER", help="The folder of the stream.")
@click.option("--version", type=click.IntRange(1), metavar="N", help="By default one more than the head's.")
@click.option(
    "--artifact",
    "artifacts",
    multiple=True,
    metavar="DOMAIN:KEY:PROVIDER=FILE",
    help="What an entry is made from; may be repeated.",
)
@click.option(
    "--allow-removals",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="How many entries may vanish with it.",
)
@click.option("--min-client", default="", metavar="VERSION", help="For which versions of the reader it is.")
@click.option("--note", default="", metavar="TEXT", help="For people.")
@click.pass_obj
def build(
    context: CommandContext,
    sources: Sequence[Path],
    stream: str | None,
    out: Path,
    version: int | None,
    artifacts: Sequence[str],
    allow_removals: int,
    min_client: str,
    note: str,
) -> None:
    """Make a body from the entries in SOURCE (TOML, JSON or JSON Lines), and a release that is to be signed.

    Entries are sorted and checked as a reader does.  Where an entry's artifact is the path of a file, that file is
    hashed and copied into the folder.
    """
    head = files.head_of(out)
    place = files.newest_keyring(out)
    ring = None if place is None else keyring.read_payload(_payload_of(place))
    name = stream or (ring.stream if ring else None)
    if name is None:
        raise click.UsageError("whose stream is it?  Say --stream NAME")
    epoch = ring.epoch if ring else 1
    if version is None:
        version = head[1].version + 1 if head and head[1].epoch == epoch else 1
    extra = dict(_named(each) for each in artifacts)
    entries = [(entry, source.parent) for source in sources for entry in _entries(source)]
    body, blobs = _body(name, version, entries, extra)
    manifest = asyncio.run(_checked(context, body))
    ref = files.body_ref(body)
    release = Release(
        name, epoch, version, 0, 1, ref, allow_removals=allow_removals, min_client=min_client, note=note
    )
    files.payload(release)
    for path, data in blobs.items():
        files.write_bytes(out / path, data)
    files.write_bytes(out / ref.path, body)
    files.write_bytes(out / "release.json", files.draft(release))
    context.show(
        {
            "stream": name,
            "epoch": epoch,
            "version": version,
            "entries": len(manifest.entries),
            "artifacts": len(blobs),
            "body": str(out / ref.path),
            "size": ref.size,
            "to_sign": str(out / "release.json"),
        },
        "oneiric/manifest-build/1",
    )


@click.command("diff", short_help="Say which entries differ between two bodies.")
@click.argument("before", type=PATH)
@click.argument("after", type=PATH)
@click.pass_obj
def diff(context: CommandContext, before: Path, after: Path) -> None:
    """Say which entries AFTER adds, changes and removes against BEFORE: bodies, bundles or folders of streams.

    Nothing is verified.
    """
    one, other = (_lines(path) for path in (before, after))
    found = [
        {"change": "added" if identity not in one else "removed" if identity not in other else "changed"}
        | dict(zip(_IDENTITY, identity, strict=True))
        for identity in sorted(one.keys() | other.keys())
        if one.get(identity) != other.get(identity)
    ]
    if context.json:
        context.show({"changes": found}, "oneiric/manifest-diff/1")
    elif found:
        context.show(found, "oneiric/manifest-diff/1")
    else:
        click.echo("no entry differs")


def body_at(path: Path) -> bytes:
    """The body of a stream's folder, of a bundle, or in a file of its own; nothing is verified.

    Raises:
        NoSuchFile: There is none.
        RemoteError: The head that names it is damaged.
    """
    if path.is_dir():
        head = files.head_of(path)
        if head is None:
            raise files.NoSuchFile(f"{path} has no head.json", hint="name a body in its manifests/")
        return files.read_bytes(path / head[1].manifest.path)
    data = files.read_bytes(path)
    first, _, rest = data.partition(b"\n")
    return rest if b'"payloadType"' in first else data


def _lines(path: Path) -> dict[tuple[str, ...], bytes]:
    found = {}
    for number, line in enumerate(body_at(path).splitlines()[1:], 2):
        entry = read_json(line, str(path), line=number)
        if not isinstance(entry, dict):
            raise Malformed(f"{path}: it is no entry", line=number)
        found[_identity(entry)] = line
    return found


def _identity(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(entry.get(name, "")) for name in _IDENTITY)


async def _checked(context: CommandContext, body: bytes) -> Manifest:
    async with context.host() as host:
        return host.manifest(body)


def _payload_of(place: Path) -> bytes:
    from oneiric.plugins.pinned import dsse

    return dsse.read_unsigned(files.read_bytes(place, dsse.LIMIT), keyring.TYPE, str(place)).payload


def _named(text: str) -> tuple[tuple[str, ...], Path]:
    name, equals, path = text.partition("=")
    if not equals or not path or name.count(":") != 2:
        raise click.UsageError(f"--artifact is DOMAIN:KEY:PROVIDER=FILE, found {text!r}")
    return tuple(name.split(":")), Path(path)


def _entries(source: Path) -> list[dict[str, Any]]:
    """The entries of a source, unchecked but for being tables."""
    data = files.read_bytes(source)
    try:
        found: Any
        if source.suffix == ".toml":
            found = tomllib.loads(data.decode())
        elif source.suffix == ".jsonl":
            found = [
                read_json(line, str(source), line=n) for n, line in enumerate(data.splitlines(), 1) if line
            ]
        else:
            found = read_json(data, str(source))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"{source} is no TOML: {str(error)[:120]}") from None
    if isinstance(found, dict):
        if found.keys() - {"entries"}:
            more = min(found.keys() - {"entries"})
            raise Malformed(
                f"{source}: {more!r} is not known", hint="entries stand in a list named entries: [[entries]]"
            )
        found = found.get("entries", [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise Malformed(f"{source} has no list of entries")
    return found


def _body(
    stream: str,
    version: int,
    entries: Sequence[tuple[dict[str, Any], Path]],
    extra: Mapping[tuple[str, ...], Path],
) -> tuple[bytes, dict[str, bytes]]:
    """The bytes of a body, and the artifacts beside it, by path."""
    blobs: dict[str, bytes] = {}
    left, done = dict(extra), []
    for entry, folder in entries:
        artifact = left.pop(_identity(entry)[:3], None)
        if artifact is None and isinstance(entry.get("artifact"), str):
            artifact = folder / entry["artifact"]
        if artifact is not None:
            data = files.read_bytes(artifact)
            digest = hashlib.sha256(data).hexdigest()
            ref = FileRef(digest, len(data), f"artifacts/{digest}")
            blobs[ref.path] = data
            entry = entry | {
                "artifact": {n: getattr(ref, n) for n in ("sha256", "size", "path", "media_type")}
            }
        done.append(entry)
    if left:
        raise Malformed(f"--artifact {':'.join(next(iter(left)))}: there is no such entry")
    done.sort(key=_identity)
    for one, two in itertools.pairwise(done):
        if _identity(one) == _identity(two):
            raise Malformed(f"the entry {':'.join(filter(None, _identity(one)))} is given twice")
    first = {"spec": "1", "stream": stream, "version": version, "count": len(done)}
    try:
        text = "".join(
            json.dumps(each, separators=(",", ":"), allow_nan=False, ensure_ascii=False) + "\n"
            for each in (first, *done)
        )
        return text.encode(), blobs
    except (TypeError, ValueError) as error:
        raise Malformed(
            f"an entry holds what JSON does not: {error}", hint="write dates and times as texts"
        ) from None
