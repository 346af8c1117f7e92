"""``oneiric manifest keygen`` and ``oneiric manifest keyring``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs
import click
from oneiric_hookspecs import CommandContext, Malformed, RemoteError, VerifyError

from oneiric.plugins.pinned import dsse, keyring, keys
from oneiric.plugins.pinned.keyring import Keyring, Role
from oneiric.plugins.pinned.publishing import read_bytes, write_bytes

from ._words import PATH, of_threshold, passphrase_from, private_key, takes_passphrase, takes_times, times

_SCHEMA = "oneiric/manifest-keyring/1"


@click.command("keygen", short_help="Make a key.")
@click.argument("file", type=PATH)
@click.option(
    "--id", "keyid", metavar="ID", help="What the key is called; by default the start of its SHA-256."
)
@click.option(
    "--passphrase", "ask", is_flag=True, help="Ask for a passphrase, without which nobody can use it."
)
@click.option("--passphrase-env", metavar="VARIABLE", help="The variable of the environment that has one.")
@click.pass_obj
def keygen(
    context: CommandContext, file: Path, keyid: str | None, ask: bool, passphrase_env: str | None
) -> None:
    """Make a key: the private one in FILE, for its owner alone, the public one in FILE.pub.

    Nothing is ever overwritten.
    """
    passphrase = None
    if passphrase_env is not None:
        passphrase = passphrase_from(passphrase_env)
    elif ask:
        passphrase = click.prompt("passphrase", hide_input=True, confirmation_prompt=True, err=True)
    made = keys.generate(file, keyid, passphrase)
    answer = {
        "keyid": made.keyid,
        "public": dsse.encode(made.public),
        "private_file": str(file),
        "public_file": f"{file}.pub",
    }
    context.show(answer, "oneiric/manifest-key/1")


@click.group("keyring", short_help="Say whose keys may sign, and exchange them.")
def group() -> None:
    """Say whose keys may sign a stream, and go over from some keys to others."""


@group.command("init", short_help="Make the first keyring of a stream.")
@click.argument("stream")
@click.option(
    "--root", "roots", type=PATH, multiple=True, required=True, metavar="PUB", help="May sign keyrings."
)
@click.option(
    "--release", "releases", type=PATH, multiple=True, required=True, metavar="PUB", help="May sign releases."
)
@click.option("--root-threshold", type=click.IntRange(1), default=1, show_default=True, metavar="N")
@click.option("--release-threshold", type=click.IntRange(1), default=1, show_default=True, metavar="N")
@click.option("--out", type=PATH, required=True, metavar="FILE", help="Where: STREAM/keyrings/1.json.")
@takes_times(365)
@click.pass_obj
def init(
    context: CommandContext,
    stream: str,
    roots: Sequence[Path],
    releases: Sequence[Path],
    root_threshold: int,
    release_threshold: int,
    out: Path,
    days: int,
    issued: str | None,
) -> None:
    """Make the first keyring of STREAM from public keys; it is to be signed by its root."""
    began, expires = times(issued, days)
    root, release = [list(map(keys.Public.read, each)) for each in (roots, releases)]
    made = Keyring(
        stream,
        1,
        1,
        began,
        expires,
        {each.keyid: each.public for each in _distinct([*root, *release])},
        Role(_ids(root), root_threshold),
        Role(_ids(release), release_threshold),
    )
    _write(context, made, out)


@group.command("rotate", short_help="Make the keyring that follows another.")
@click.argument("file", type=PATH)
@click.option(
    "--add-root", "roots", type=PATH, multiple=True, metavar="PUB", help="May sign keyrings from now on."
)
@click.option(
    "--add-release",
    "releases",
    type=PATH,
    multiple=True,
    metavar="PUB",
    help="May sign releases from now on.",
)
@click.option("--remove", "removed", multiple=True, metavar="KEYID", help="May sign nothing any more.")
@click.option("--root-threshold", type=click.IntRange(1), metavar="N")
@click.option("--release-threshold", type=click.IntRange(1), metavar="N")
@click.option("--new-epoch", is_flag=True, help="Let the versions of releases start anew.")
@click.option("--out", type=PATH, required=True, metavar="FILE", help="Where: STREAM/keyrings/N.json.")
@takes_times(365)
@click.pass_obj
def rotate(
    context: CommandContext,
    file: Path,
    roots: Sequence[Path],
    releases: Sequence[Path],
    removed: Sequence[str],
    root_threshold: int | None,
    release_threshold: int | None,
    new_epoch: bool,
    out: Path,
    days: int,
    issued: str | None,
) -> None:
    """Make the keyring that follows that of FILE; it is to be signed by the root of that one and by its own."""
    before = keyring.read(read_bytes(file, dsse.LIMIT), str(file))
    began, expires = times(issued, days)
    for keyid in removed:
        if keyid not in before.keys:
            raise Malformed(
                f"{file}: there is no key {keyid!r}", hint=f"there are {', '.join(sorted(before.keys))}"
            )
    root, release = [list(map(keys.Public.read, each)) for each in (roots, releases)]
    kept = [keys.Public(keyid, public) for keyid, public in before.keys.items() if keyid not in removed]
    known = {each.keyid: each.public for each in _distinct([*kept, *root, *release])}
    roles = [
        Role(
            tuple(dict.fromkeys([*(keyid for keyid in old.keys if keyid not in removed), *_ids(more)])),
            threshold or old.threshold,
        )
        for old, more, threshold in (
            (before.root, root, root_threshold),
            (before.release, release, release_threshold),
        )
    ]
    used = {*roles[0].keys, *roles[1].keys}
    made = attrs.evolve(
        before,
        version=before.version + 1,
        epoch=before.epoch + new_epoch,
        issued=began,
        expires=expires,
        keys={keyid: public for keyid, public in known.items() if keyid in used},
        root=roles[0],
        release=roles[1],
    )
    _write(context, made, out)


@group.command("sign", short_help="Sign a keyring.")
@click.argument("file", type=PATH)
@click.option("--key", type=PATH, required=True, metavar="FILE", help="The private key.")
@click.option(
    "--previous",
    type=PATH,
    metavar="FILE",
    help="The keyring before it; by default beside it, by its number.",
)
@takes_passphrase
@click.pass_obj
def sign(
    context: CommandContext, file: Path, key: Path, previous: Path | None, passphrase_env: str | None
) -> None:
    """Add a signature to the keyring of FILE, and say whether there are enough."""
    data = read_bytes(file, dsse.LIMIT)
    envelope = _unsigned(data, file)
    ring = keyring.read_payload(envelope.payload)
    before = None
    if ring.version > 1:
        place = previous or file.with_name(f"{ring.version - 1}.json")
        before = keyring.read(read_bytes(place, dsse.LIMIT), str(place))
    private = private_key(key, passphrase_env)
    public = keys.public_of(private)
    rings = [ring] if before is None else [ring, before]
    names = [keyid for each in rings for keyid, known in each.of(each.root).items() if known == public]
    if not names:
        raise VerifyError(
            f"the key of {key} is not of the root, neither of this keyring nor of the one before", code="key"
        )
    signed = envelope.signed(private, names[0])
    write_bytes(file, _line(signed))
    _tell(context, ring, signed, before, file)


def _write(context: CommandContext, ring: Keyring, out: Path) -> None:
    payload = ring.payload()
    keyring.read_payload(payload)  # what nobody would read is not written
    write_bytes(out, _line(dsse.Envelope(keyring.TYPE, payload)), fresh=True)
    _tell(context, ring, dsse.Envelope(keyring.TYPE, payload), None, out)


def _tell(
    context: CommandContext, ring: Keyring, envelope: dsse.Envelope, before: Keyring | None, file: Path
) -> None:
    own = dsse.signers(envelope, ring.of(ring.root))
    answer: dict[str, object] = {
        "file": str(file),
        "stream": ring.stream,
        "version": ring.version,
        "epoch": ring.epoch,
    }
    if context.json:
        answer["signed"] = list(own)
        answer["threshold"] = ring.root.threshold
        if before is not None:
            answer["signed_before"] = list(dsse.signers(envelope, before.of(before.root)))
            answer["threshold_before"] = before.root.threshold
    else:
        answer["signed by its root"] = of_threshold(len(own), ring.root.threshold)
        if before is not None:
            done = len(dsse.signers(envelope, before.of(before.root)))
            answer["signed by the root before"] = of_threshold(done, before.root.threshold)
    context.show(answer, _SCHEMA)


def _unsigned(data: bytes, file: Path) -> dsse.Envelope:
    """The envelope of a keyring that may not be signed yet."""
    try:
        return dsse.read_unsigned(data, keyring.TYPE, str(file))
    except VerifyError as error:
        raise Malformed(error.message) from None


def _line(envelope: dsse.Envelope) -> bytes:
    try:
        return envelope.to_json() + b"\n"
    except ValueError as error:
        raise RemoteError(f"it cannot be written: {error}") from None


def _ids(given: Sequence[keys.Public]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.keyid for each in given))


def _distinct(given: Sequence[keys.Public]) -> list[keys.Public]:
    """Each once.  Raises: Malformed, one id stands for two keys, or one key has two ids."""
    found: dict[str, bytes] = {}
    for each in given:
        for keyid, public in found.items():
            if (keyid == each.keyid) != (public == each.public):
                raise Malformed(f"{each.keyid} and {keyid} are one key under two ids, or two keys under one")
        found[each.keyid] = each.public
    return [keys.Public(keyid, public) for keyid, public in found.items()]
