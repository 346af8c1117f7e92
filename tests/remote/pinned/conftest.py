"""A publisher with keys that are known, and a source that a test can tamper with."""

import hashlib

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from oneiric_hookspecs import FetchError, Got, Pull, Release

from oneiric.plugins.pinned import dsse, keyring, publishing
from oneiric.plugins.pinned import pull as pulling
from oneiric.plugins.pinned.keyring import Keyring, Role

NOW = 1_800_000_000
DAY = 86_400
BODY = b'{"spec":"1","stream":"shop","version":1,"count":0}\n'


def key(name):
    """A key that is the same in every process."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


def public(name):
    return key(name).public_key().public_bytes_raw()


class Source:
    """A stream in memory: what is not there is absent, what is an error is raised."""

    def __init__(self):
        self.files = {}
        self.asked = []
        self.etag = None

    def get(self, path, *, limit, etag=None):
        self.asked.append(path)
        found = self.files.get(path)
        if isinstance(found, Exception):
            raise found
        if found is None:
            return None
        if len(found) > limit:
            raise FetchError("too long", code="too-large")
        if path == "head.json" and self.etag is not None and etag == self.etag:
            return Got(b"", etag, unchanged=True)
        return Got(found, self.etag)


class Publisher:
    """Signs what it is told to, sensible or not."""

    now = NOW

    def __init__(self):
        self.source, self.keep = Source(), publishing.Memory()

    def ring(self, version=1, *, root=("root",), release=("rel",), at=(1, 1), by=None, **more):
        """A keyring, and its envelope; signed by its own root unless *by* says who."""
        known = {name: public(name) for name in dict.fromkeys((*root, *release))}
        values = {
            "stream": "shop",
            "version": version,
            "epoch": 1,
            "issued": NOW - DAY,
            "expires": NOW + 365 * DAY,
            "keys": known,
            "root": Role(tuple(root), at[0]),
            "release": Role(tuple(release), at[1]),
        }
        ring = Keyring(**(values | more))
        return self.sign(keyring.TYPE, ring.payload(), *(root if by is None else by))

    def sign(self, kind, payload, *names):
        envelope = dsse.Envelope(kind, payload)
        for name in names:
            envelope = envelope.signed(key(name), name)
        return envelope.to_json()

    def release(self, **more):
        values = {
            "stream": "shop",
            "epoch": 1,
            "version": 1,
            "issued": NOW,
            "expires": NOW + 30 * DAY,
            "manifest": publishing.body_ref(BODY),
        }
        return Release(**(values | more))

    def head(self, *names, **more):
        """A head, signed by these."""
        return self.sign(pulling.TYPE, publishing.payload(self.release(**more)), *(names or ("rel",)))

    def pull(self, anchor=None, *, head=None, keep=None, **more):
        """What a reader makes of it."""
        if head is not None:
            self.source.files["head.json"] = head
        asked = Pull("shop", anchor or self.ring(), self.source, keep or self.keep, NOW)
        return pulling.pull(attrs.evolve(asked, **more))


@pytest.fixture
def publisher():
    return Publisher()
