"""``oneiric manifest verify``, ``inspect`` and ``distrust``."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from oneiric_hookspecs import CommandContext, Host, Malformed, VerifyError, nearest
from oneiric_hookspecs.releases import format_time, read_release

from oneiric.plugins.pinned import distrust as distrusting
from oneiric.plugins.pinned import dsse, keyring
from oneiric.plugins.pinned import publishing as files
from oneiric.plugins.pinned import pull as pulling

from ._words import PATH
from .bodies import body_at
from .releases import artifacts_of


@click.command("verify", short_help="Verify a stream as a reader does.")
@click.argument("source", metavar="FOLDER|BUNDLE|URL")
@click.option(
    "--keyring", "anchor", type=PATH, required=True, metavar="FILE", help="The keyring that readers have."
)
@click.option("--stream", metavar="NAME", help="What readers call it; by default as the keyring does.")
@click.option(
    "--max-lifetime",
    type=click.IntRange(1),
    default=30,
    show_default=True,
    metavar="DAYS",
    help="As readers have it.",
)
@click.pass_obj
def verify(context: CommandContext, source: str, anchor: Path, stream: str | None, max_lifetime: int) -> None:
    """Verify a stream as a reader does who has only a keyring, and has seen nothing of it yet.

    Exits with 7 where such a reader would refuse it.
    """
    data = files.read_bytes(anchor, dsse.LIMIT)
    name = stream or keyring.read(data, str(anchor)).stream

    async def run() -> None:
        async with context.host() as host:
            if "://" in source:
                with host.source(source) as reader:
                    found, artifacts = await host.in_thread(
                        lambda: _verified(reader, data, name, max_lifetime), name="manifest verify"
                    )
            else:
                found, artifacts = _verified(files.Local(Path(source)), data, name, max_lifetime)
            manifest = host.manifest(found.body)
            release = found.release
            if (manifest.stream, manifest.version) != (release.stream, release.version):
                raise Malformed("the body says another stream or version than its release", line=1)
            context.show(
                {
                    "stream": release.stream,
                    "epoch": release.epoch,
                    "version": release.version,
                    "expires": format_time(release.expires),
                    "keyring": found.newest.version,
                    "signed_by": list(found.signers) if context.json else ", ".join(found.signers),
                    "entries": len(manifest.entries),
                    "artifacts": artifacts,
                },
                "oneiric/manifest-verify/1",
            )

    asyncio.run(run())


def _verified(reader: Any, anchor: bytes, stream: str, days: int) -> tuple[files.Verified, int]:
    found = files.verified(reader, anchor, stream, time.time(), max_days=days, body=reader.body)
    # Artifacts are not in a bundle: who reads one has them elsewhere.
    refs = [] if getattr(reader, "bundle", None) else artifacts_of(found.body)
    for ref in refs:
        reader.body(ref)
    return found, len(refs)


@click.command("inspect", short_help="Show what the files of a stream say.")
@click.argument("path", type=PATH)
@click.pass_obj
def inspect(context: CommandContext, path: Path) -> None:
    """Show what a stream's folder, a bundle, a head or a keyring says.  Nothing is verified."""
    facts = _facts(path)
    if not context.json:
        facts = dict(_rows(facts))
    context.show(facts, "oneiric/manifest-inspect/1")


def _rows(facts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The same for people: a key a line, to be read out and compared."""
    for name, value in facts.items():
        if isinstance(value, dict):
            yield from ((f"key {keyid}", public) for keyid, public in value.items())
        else:
            yield name, (", ".join(map(str, value)) or "none") if isinstance(value, list) else value


def _facts(path: Path) -> dict[str, Any]:
    if path.is_dir():
        place = files.newest_keyring(path)
        found: dict[str, Any] = {}
        if (path / pulling.HEAD).exists():
            found = _head(files.read_bytes(path / pulling.HEAD, dsse.LIMIT)) | _body(body_at(path))
        if place is not None:
            ring = _keyring(files.read_bytes(place, dsse.LIMIT))
            found |= {
                f"keyring_{name}": value for name, value in ring.items() if name not in {"kind", "stream"}
            }
        if not found:
            raise files.NoSuchFile(f"{path} has neither a head.json nor keyrings/")
        return found
    data = files.read_bytes(path)
    first, _, rest = data.partition(b"\n")
    if rest.strip() and b'"payloadType"' in first:
        return _head(first) | _body(rest)
    try:
        return _keyring(data)
    except VerifyError as error:
        if error.code != "wrong-type":
            raise
    return _head(data)


def _head(data: bytes) -> dict[str, Any]:
    envelope = dsse.read(data, pulling.TYPE, "the head")
    release = read_release(envelope.payload)
    found = {"kind": "release"} | files.document(release)
    manifest = found.pop("manifest")
    del found["spec"]
    return found | {
        "body": manifest["path"],
        "size": manifest["size"],
        "signatures": [each.keyid for each in envelope.signatures],
    }


def _body(body: bytes) -> dict[str, Any]:
    from oneiric_hookspecs.releases import read_json

    domains: Counter[str] = Counter()
    for number, line in enumerate(body.splitlines()[1:], 2):
        entry = read_json(line, "the body", line=number)
        domains[str(entry.get("domain")) if isinstance(entry, dict) else "?"] += 1
    return {
        "entries": sum(domains.values()),
        "domains": [f"{name} {count}" for name, count in sorted(domains.items())],
    }


def _keyring(data: bytes) -> dict[str, Any]:
    envelope = dsse.read_unsigned(data, keyring.TYPE, "the keyring")
    ring = keyring.read_payload(envelope.payload)
    return {
        "kind": "keyring",
        "stream": ring.stream,
        "version": ring.version,
        "epoch": ring.epoch,
        "issued": format_time(ring.issued),
        "expires": format_time(ring.expires),
        "root": list(ring.root.keys),
        "root_threshold": ring.root.threshold,
        "release": list(ring.release.keys),
        "release_threshold": ring.release.threshold,
        "keys": {keyid: dsse.encode(public) for keyid, public in ring.keys.items()},
        "signatures": [each.keyid for each in envelope.signatures],
    }


@click.command("distrust", short_help="Never believe a key again on this machine.")
@click.argument("keyid")
@click.option("--stream", required=True, metavar="NAME", help="Of [remote].")
@click.option("--undo", is_flag=True, help="Trust it again.")
@click.option(
    "--dry-run", is_flag=True, help="Only say whether something would change, and exit with 10 if so."
)
@click.pass_obj
def distrust(context: CommandContext, keyid: str, stream: str, undo: bool, dry_run: bool) -> None:
    """Never believe a key again on this machine, whatever keyrings say: at once, and without asking anybody.

    KEYID is the key's id in a keyring that is known here, or the public key itself in base64.
    """

    async def run() -> None:
        async with context.host() as host:
            changes, count = _distrust(host, keyid, stream, undo=undo, dry_run=dry_run)
        context.show(
            {
                "stream": stream,
                "key": keyid,
                "changed": changes if context.json else "yes" if changes else "no",
                "distrusted": count,
            },
            "oneiric/manifest-distrust/1",
        )
        if changes and dry_run:
            raise click.exceptions.Exit(10)

    asyncio.run(run())


def _distrust(host: Host, keyid: str, stream: str, *, undo: bool, dry_run: bool) -> tuple[bool, int]:
    trust = host.trust(stream)
    before = distrusting.load(trust.keep)
    wanted = _publics(keyid, trust.anchor, trust.keep)
    after = before - wanted if undo else before | wanted
    if after != before and not dry_run:
        distrusting.save(trust.keep, after)
    return after != before, len(after)


def _publics(keyid: str, anchor: bytes, keep: Any) -> frozenset[bytes]:
    """The public keys of that id, in every keyring that is known here; or the one that it is.

    Raises:
        NoSuchFile: There is none.
    """
    try:
        public = dsse.decode(keyid)
    except ValueError:
        public = b""
    if len(public) == 32:
        return frozenset({public})
    known: dict[str, set[bytes]] = {}
    kept = [keep.load(name) for name in keep.names() if name.startswith("keyring-")]
    for data in (anchor, *kept):
        try:
            ring = keyring.read_payload(dsse.read_unsigned(data or b"", keyring.TYPE, "a keyring").payload)
        except (Malformed, VerifyError):
            continue
        for each, its in ring.keys.items():
            known.setdefault(each, set()).add(its)
    if keyid not in known:
        near = nearest(keyid, known)
        hint = f"did you mean {near!r}?" if near else f"there are {', '.join(sorted(known)) or 'none'}"
        raise files.NoSuchFile(f"no keyring that is known here has a key {keyid[:80]!r}", hint=hint)
    return frozenset(known[keyid])
