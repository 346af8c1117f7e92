"""The stream in docs/formats/stream-vectors, by which another implementation can check itself.

``python tests/remote/pinned/test_vectors.py`` writes it anew.
"""

import hashlib
from pathlib import Path

import attrs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from oneiric_hookspecs import Pull, Release
from oneiric_hookspecs.releases import parse_time

from oneiric.plugins.pinned import dsse, keyring, publishing
from oneiric.plugins.pinned import pull as pulling
from oneiric.plugins.pinned.keyring import Keyring, Role

FOLDER = Path(__file__).parents[3] / "docs" / "formats" / "stream-vectors"
BEGAN, NOW = parse_time("2026-01-01T00:00:00Z"), parse_time("2026-01-15T00:00:00Z")
DAY = 86_400
#: The private keys: 32 bytes, each the same.
SEEDS = {"root-a": 1, "root-b": 2, "rel-a": 3, "rel-b": 4}
ARTIFACT = b"weights\n"


def key(name):
    return Ed25519PrivateKey.from_private_bytes(bytes([SEEDS[name]]) * 32)


def signed(kind, payload, *names):
    envelope = dsse.Envelope(kind, payload)
    for name in names:
        envelope = envelope.signed(key(name), name)
    return envelope.to_json() + b"\n"


def ring(version, root, release, threshold):
    keys = {name: key(name).public_key().public_bytes_raw() for name in (*root, *release)}
    return Keyring(
        "vectors", version, 1, BEGAN, BEGAN + 3650 * DAY, keys, Role(root, 1), Role(release, threshold)
    ).payload()


def stream():
    """Every file of it, by its path."""
    digest = hashlib.sha256(ARTIFACT).hexdigest()
    body = (
        '{"spec":"1","stream":"vectors","version":2,"count":2}\n'
        '{"domain":"adapter","key":"cache","provider":"fast","factory":"ep:fast","version":"1.2","priority":5}\n'
        '{"domain":"task","key":"train","provider":"nightly","factory":"ep:nightly","artifact":'
        f'{{"sha256":"{digest}","size":{len(ARTIFACT)},"path":"artifacts/{digest}",'
        '"media_type":"application/octet-stream"}}\n'
    ).encode()
    ref = publishing.body_ref(body)
    release = Release("vectors", 1, 2, BEGAN, BEGAN + 30 * DAY, ref, keyring=2, note="caf\u00e9")
    head = signed(pulling.TYPE, publishing.payload(release), "rel-a", "rel-b")
    return {
        "keyrings/1.json": signed(keyring.TYPE, ring(1, ("root-a",), ("rel-a",), 1), "root-a"),
        "keyrings/2.json": signed(
            keyring.TYPE, ring(2, ("root-b",), ("rel-a", "rel-b"), 2), "root-a", "root-b"
        ),
        ref.path: body,
        f"artifacts/{digest}": ARTIFACT,
        "head.json": head,
        "vectors.bundle": head + body,
        "bad/one-of-two.json": signed(pulling.TYPE, publishing.payload(release), "rel-a"),
        "bad/stranger.json": signed(pulling.TYPE, publishing.payload(release), "root-a", "root-b"),
        "bad/twice.json": head.replace(b'"rel-b"', b'"rel-c"').replace(
            dsse.encode(key("rel-b").sign(dsse.pae(pulling.TYPE, publishing.payload(release)))).encode(),
            dsse.encode(key("rel-a").sign(dsse.pae(pulling.TYPE, publishing.payload(release)))).encode(),
        ),
        "bad/other-stream.json": signed(
            pulling.TYPE, publishing.payload(attrs.evolve(release, stream="other")), "rel-a", "rel-b"
        ),
        "bad/wrong-type.json": signed(keyring.TYPE, publishing.payload(release), "rel-a", "rel-b"),
    }


def test_they_are_what_is_written():
    """Byte for byte: another implementation that signs the same with the same keys comes to the same."""
    found = {
        str(path.relative_to(FOLDER)): path.read_bytes()
        for path in FOLDER.rglob("*")
        if path.suffix != ".md" and path.is_file()
    }
    assert found == stream()


def test_they_are_believed():
    """From the first keyring, over the second, to the artifact; and from the bundle with the second."""
    anchor = (FOLDER / "keyrings/1.json").read_bytes()
    local = publishing.Local(FOLDER)
    found = publishing.verified(local, anchor, "vectors", NOW, body=local.body)
    assert (found.signers, found.newest.version, found.release.note) == (("rel-a", "rel-b"), 2, "caf\u00e9")

    bundle = publishing.Local(FOLDER / "vectors.bundle")
    second = (FOLDER / "keyrings/2.json").read_bytes()
    assert publishing.verified(bundle, second, "vectors", NOW, body=bundle.body).body == found.body


def test_the_bad_ones_are_refused():
    """Each with the code that the reference says."""
    said = {}
    for path in sorted((FOLDER / "bad").iterdir()):
        local = publishing.Local(FOLDER)
        local.get = lambda name, limit, etag=None, get=local.get, path=path: (
            publishing.Got(path.read_bytes()) if name == "head.json" else get(name, limit=limit)
        )
        try:
            pulling.pull(
                Pull("vectors", (FOLDER / "keyrings/1.json").read_bytes(), local, publishing.Memory(), NOW)
            )
        except publishing.RemoteError as error:
            said[path.stem] = error.code
    assert said == {
        "one-of-two": "threshold",
        "other-stream": "wrong-stream",
        "stranger": "signature",
        "twice": "threshold",
        "wrong-type": "wrong-type",
    }


if __name__ == "__main__":
    for name, data in stream().items():
        publishing.write_bytes(FOLDER / name, data)
