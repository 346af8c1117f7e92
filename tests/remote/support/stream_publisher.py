"""A publisher of streams that shares no line with the project: written from what the format is said to be, alone."""

import base64
import hashlib
import json
import time
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

RELEASE = "application/vnd.oneiric.release.v1+json"
KEYRING = "application/vnd.oneiric.keyring.v1+json"
ENTRIES = "application/vnd.oneiric.entries.v1+jsonl"
DAY = 86_400


def stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(seconds)))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Key:
    """A signing key, the same one for the same number."""

    def __init__(self, number: int) -> None:
        self.private = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        raw = serialization.Encoding.Raw
        self.public = self.private.public_key().public_bytes(raw, serialization.PublicFormat.Raw)
        self.id = f"key-{number}"


def envelope(kind: str, document: dict | bytes, keys) -> bytes:
    """A DSSE envelope of *document*, signed by *keys*."""
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    signatures = [{"keyid": key.id, "sig": b64(key.private.sign(signed))} for key in keys]
    return json.dumps({"payloadType": kind, "payload": b64(payload), "signatures": signatures}).encode()


def entry(domain: str, key: str, provider: str, factory: str, **more) -> dict:
    return {"domain": domain, "key": key, "provider": provider, "factory": factory, **more}


def identity(each: dict) -> tuple:
    return (each["domain"], each["key"], each["provider"], each.get("version", ""))


class Publisher:
    """Publishes one stream into a folder.

    Args:
        folder: Where.
        stream: What it is called.
        now: What its clock says.
        root: Keys of the root role.
        keys: Keys of the release role.
    """

    def __init__(self, folder: Path, stream: str = "prod", *, now=time.time, root=None, keys=None) -> None:
        self.folder, self.stream, self.now = folder, stream, now
        self.root, self.keys = list(root or [Key(1)]), list(keys or [Key(2)])
        self.epoch, self.version, self.number = 1, 0, 0
        self.rotate()

    @property
    def anchor(self) -> bytes:
        """The first keyring."""
        return (self.folder / "keyrings" / "1.json").read_bytes()

    def write(self, path: str, data: bytes) -> None:
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        new = place.with_name(f"{place.name}.new")
        new.write_bytes(data)
        new.replace(place)  # nobody sees half of it

    def keyring(self, **more) -> dict:
        keys = {key.id: {"alg": "ed25519", "public": b64(key.public)} for key in (*self.root, *self.keys)}
        document = {
            "spec": "1",
            "stream": self.stream,
            "version": self.number,
            "epoch": self.epoch,
            "issued": stamp(self.now() - 60),
            "expires": stamp(self.now() + 365 * DAY),
            "keys": keys,
            "roles": {
                "root": {"keys": [key.id for key in self.root], "threshold": len(self.root)},
                "release": {"keys": [key.id for key in self.keys], "threshold": len(self.keys)},
            },
        }
        return document | more

    def rotate(self, *, root=None, keys=None, signers=None, **more) -> bytes:
        """Publish the next keyring; signed by the roots before and the new ones, unless *signers* are others."""
        before = list(self.root)
        self.root, self.keys = list(root or self.root), list(keys or self.keys)
        self.number += 1
        self.epoch = more.get("epoch", self.epoch)
        signers = signers or {key.id: key for key in (*before, *self.root)}.values()
        data = envelope(KEYRING, self.keyring(**more), signers)
        self.write(f"keyrings/{self.number}.json", data)
        return data

    def body(self, entries, *, version: int | None = None, **header) -> bytes:
        entries = sorted(entries, key=identity)
        first = {
            "spec": "1",
            "stream": self.stream,
            "version": version or self.version,
            "count": len(entries),
        }
        return "".join(json.dumps(each) + "\n" for each in [first | header, *entries]).encode()

    def release(self, body: bytes, **more) -> dict:
        digest = hashlib.sha256(body).hexdigest()
        return {
            "spec": "1",
            "stream": self.stream,
            "epoch": self.epoch,
            "version": self.version,
            "issued": stamp(self.now() - 30),
            "expires": stamp(self.now() + 7 * DAY),
            "manifest": {
                "sha256": digest,
                "size": len(body),
                "path": f"manifests/{digest}.jsonl",
                "media_type": ENTRIES,
            },
            "keyring": self.number,
        } | more

    def publish(self, *entries: dict, signers=None, body: bytes | None = None, **more) -> dict:
        """Publish the next release, the body before the head; gives its document."""
        self.version = more.pop("version", self.version + 1)
        body = self.body(entries) if body is None else body
        release = self.release(body, **{"version": self.version, **more})
        self.write(release["manifest"]["path"], body)
        self.write("head.json", envelope(RELEASE, release, self.keys if signers is None else signers))
        return release

    def artifact(self, data: bytes, media_type: str = "application/octet-stream") -> dict:
        """Publish a file; gives the reference of an entry to it."""
        digest = hashlib.sha256(data).hexdigest()
        self.write(f"artifacts/{digest}", data)
        return {"sha256": digest, "size": len(data), "path": f"artifacts/{digest}", "media_type": media_type}
