"""Private keys in files: PEM (PKCS #8), readable by their owner only, with a passphrase or without."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from oneiric_hookspecs import NAME, Malformed
from oneiric_hookspecs.releases import Fields, read_json

from oneiric.plugins._ed25519 import check_public

from . import dsse
from .publishing import NotDone, read_bytes, write_bytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@attrs.frozen
class Public:
    """A public key, as it is handed on.

    Args:
        keyid: What it is called.
        public: Its 32 bytes.
    """

    keyid: str
    public: bytes

    def to_json(self) -> bytes:
        """The bytes of its file."""
        return (
            json.dumps({"keyid": self.keyid, "alg": "ed25519", "public": dsse.encode(self.public)}).encode()
            + b"\n"
        )

    @classmethod
    def read(cls, path: Path) -> Public:
        """The public key of a file.

        Raises:
            NoSuchFile: It cannot be read.
            Malformed: It is none.
        """
        what = str(path)
        fields = Fields(read_json(read_bytes(path, 4096), what), what)
        keyid, alg, public = fields.name("keyid"), fields.take("alg", str), fields.take("public", str)
        fields.end()
        try:
            if alg != "ed25519":
                raise ValueError(f"the algorithm {alg[:40]!r} is not ed25519")
            return cls(keyid, check_public(dsse.decode(public)))
        except ValueError as error:
            raise Malformed(f"{what}: {error}") from None


def keyid_of(public: bytes) -> str:
    """What a key is called that nobody names: the first 16 digits of its SHA-256."""
    return hashlib.sha256(public).hexdigest()[:16]


def public_of(key: Ed25519PrivateKey) -> bytes:
    """The public key of a private one."""
    return key.public_key().public_bytes_raw()


def generate(path: Path, keyid: str | None, passphrase: str | None) -> Public:
    """Make a key: *path* is the private one, with ``.pub`` the public one.

    Args:
        path: Where; nothing may be there.
        keyid: What it is called; None names it by its digest.
        passphrase: Without it nobody can use the file; None for none.
    Raises:
        NotDone: Something is there, or it cannot be written.
        Malformed: *keyid* is no name.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if keyid is not None and NAME.fullmatch(keyid) is None:
        raise Malformed(f"{keyid[:40]!r} is no id of a key: it is a name of a to z, 0 to 9, and . _ - within")
    beside = path.with_name(path.name + ".pub")
    if os.path.lexists(beside):
        raise NotDone(f"{beside} is there already, and is not overwritten")
    key = Ed25519PrivateKey.generate()
    found = Public(keyid or keyid_of(public_of(key)), public_of(key))
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    write_bytes(path, pem, mode=0o600, fresh=True)
    write_bytes(beside, found.to_json(), fresh=True)
    return found


def is_locked(path: Path) -> bool:
    """Whether a private key wants a passphrase.  Raises: NoSuchFile."""
    return b"ENCRYPTED" in read_bytes(path, 65_536)


def load(path: Path, passphrase: str | None) -> Ed25519PrivateKey:
    """The private key of a file.

    Raises:
        NoSuchFile: It cannot be read.
        Malformed: It is none, or the passphrase is not the one.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = read_bytes(path, 65_536)
    try:
        key = load_pem_private_key(data, None if passphrase is None else passphrase.encode())
    except TypeError:
        said = "it wants a passphrase" if passphrase is None else "it has no passphrase, and one was given"
        raise Malformed(f"{path}: {said}") from None
    except (ValueError, UnsupportedAlgorithm):
        # What the library says may tell of the file's contents.
        said = (
            "is no private key (PEM)"
            if passphrase is None
            else "is no private key (PEM) with that passphrase"
        )
        raise Malformed(f"{path} {said}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise Malformed(f"{path} is the key of another algorithm, and not of Ed25519")
    return key
