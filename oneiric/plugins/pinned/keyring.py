"""Keyrings: whose keys may sign what, and how one follows another.  Rules, in order; each is tested by its number.

K1   a keyring is an envelope of its own type, of the stream that is asked for
K2   an algorithm is ed25519, and a key is one that only its owner can sign for
K3   one public key stands once in a keyring, under one id
K4   a role names keys that are there, each once; its threshold is between one and how many they are
K5   a threshold of its own root signed it
K6   the next keyring has the next version, and the same epoch or the next
K7   a threshold of the root before it signed it, too
K8   keys that are distrusted here never count
K9   the newest keyring has not expired; those on the way to it may have
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import attrs
from oneiric_hookspecs import Malformed, RemoteError, VerifyError
from oneiric_hookspecs.releases import Fields, format_time, read_json

from oneiric.plugins._ed25519 import check_public

from . import dsse

TYPE = "application/vnd.oneiric.keyring.v1+json"
#: Keys of a keyring, at most; an envelope has no more signatures than sixteen.
MOST = 64
#: Characters of the id of a key, at most.
LONGEST = 128


@attrs.frozen
class Role:
    """Who may do something.

    Args:
        keys: Ids.
        threshold: How many of them have to sign.
    """

    keys: tuple[str, ...]
    threshold: int


@attrs.frozen
class Keyring:
    """Whose keys may sign for a stream.

    Args:
        stream: Which.
        version: Its number, from 1.
        epoch: Releases of no later epoch may be signed with it.
        issued: When it was made, in seconds since 1970 (UTC).
        expires: Until when it may be the newest one, the same.
        keys: Public keys, 32 bytes each, by id.
        root: Who may sign keyrings.
        release: Who may sign releases.
    """

    stream: str
    version: int
    epoch: int
    issued: int
    expires: int
    keys: Mapping[str, bytes] = attrs.field(repr=lambda keys: repr(sorted(keys)))
    root: Role
    release: Role

    def of(self, role: Role) -> dict[str, bytes]:
        """The public keys of one of its roles, by id."""
        return {keyid: self.keys[keyid] for keyid in role.keys}

    def payload(self) -> bytes:
        """The bytes that are signed."""
        document = {
            "spec": "1",
            "stream": self.stream,
            "version": self.version,
            "epoch": self.epoch,
            "issued": format_time(self.issued),
            "expires": format_time(self.expires),
            "keys": {
                keyid: {"alg": "ed25519", "public": dsse.encode(public)}
                for keyid, public in self.keys.items()
            },
            "roles": {
                name: {"keys": list(role.keys), "threshold": role.threshold}
                for name, role in (("root", self.root), ("release", self.release))
            },
        }
        return json.dumps(document, separators=(",", ":")).encode()


def read_payload(payload: bytes) -> Keyring:
    """The keyring that *payload* stands for; nothing is verified, and every key in it can be one (K2 to K4).

    Raises:
        Malformed: It is not well formed.
        VerifyError: One of its keys is none, or stands there twice (``key``).
    """
    fields = Fields(read_json(payload, "the keyring"), "the keyring")
    if fields.take("spec", str) != "1":
        raise fields.wrong("spec", "1, the only one that is known")
    stream, version, epoch = fields.name("stream"), fields.number("version"), fields.number("epoch")
    issued, expires = fields.time("issued"), fields.time("expires")
    keys = _keys(fields.take("keys", dict))
    roles = Fields(fields.take("roles", dict), "the keyring's roles")
    root, release = (_role(roles.take(name, dict), name, keys) for name in ("root", "release"))
    roles.end()
    fields.end()
    if expires <= issued:
        raise Malformed("the keyring expires before it was issued")
    return Keyring(stream, version, epoch, issued, expires, keys, root, release)


def _keys(given: dict[str, Any]) -> dict[str, bytes]:
    if len(given) > MOST:
        raise Malformed(f"the keyring has {len(given)} keys, and {MOST} are read")
    keys: dict[str, bytes] = {}
    for keyid, data in given.items():
        what = f"the keyring's key {keyid[:40]!r}"
        # What another publisher calls its keys is its own affair, as long as it can be shown and typed.
        if not 0 < len(keyid) <= LONGEST or not keyid.isprintable():
            raise Malformed(f"{what}: an id is a text of one line, of at most {LONGEST} characters")
        fields = Fields(data, what)
        alg, public = fields.take("alg", str), fields.take("public", str)
        fields.end()
        if alg != "ed25519":  # K2
            raise VerifyError(f"{what}: the algorithm {alg[:40]!r} is not ed25519", code="key")
        try:
            key = check_public(dsse.decode(public))
        except ValueError as error:
            raise VerifyError(f"{what}: {error}", code="key") from None
        for other, its in keys.items():
            if its == key:  # K3
                raise VerifyError(f"{what} is the same key as {other!r}", code="key")
        keys[keyid] = key
    return keys


def _role(given: dict[str, Any], name: str, keys: Mapping[str, bytes]) -> Role:
    """K4."""
    what = f"the keyring's role {name}"
    fields = Fields(given, what)
    role = Role(fields.texts("keys"), fields.number("threshold"))
    fields.end()
    for keyid in role.keys:
        if keyid not in keys:
            raise Malformed(f"{what}: there is no key {keyid[:40]!r}")
    if role.threshold > min(len(role.keys), dsse.MOST):
        raise Malformed(f"{what}: a threshold of {role.threshold} cannot be met by {len(role.keys)} keys")
    return role


@lru_cache(maxsize=512)
def read(data: bytes, what: str = "the keyring") -> Keyring:
    """The keyring of an envelope, if a threshold of its own root signed it (K1 to K5).

    Pure, and remembered: checking a key costs a hundred times what looking it up does.

    Raises:
        Malformed: It is not well formed.
        VerifyError: It is of another type, has a key that is none, or is not signed by enough of its own root.
    """
    envelope = dsse.read(data, TYPE, what)
    keyring = read_payload(envelope.payload)
    # Not K8: that a keyring is one does not say that it is believed.
    dsse.verify(envelope, keyring.of(keyring.root), keyring.root.threshold, what)
    return keyring


def read_anchor(data: bytes, stream: str) -> Keyring:
    """The keyring of the settings, of any version: it is believed as it was put there.

    Raises:
        VerifyError: It can verify nothing (``key``), or is another stream's (``wrong-stream``).
    """
    try:
        keyring = read(data, "the keyring of the settings")
    except RemoteError as error:
        raise VerifyError(
            error.message,
            code="key",
            hint="it is a file that `oneiric manifest keyring` made, and that is signed",
        ) from None
    if keyring.stream != stream:  # K1
        raise VerifyError(
            f"the keyring of the settings is of the stream {keyring.stream!r}, and not {stream!r}",
            code="wrong-stream",
        )
    return keyring


@lru_cache(maxsize=512)
def follow(previous: bytes, data: bytes, distrusted: frozenset[bytes] = frozenset()) -> Keyring:
    """The keyring of *data*, if it may follow that of *previous*, which is believed (K1 to K8).

    Raises:
        VerifyError: It may not: ``wrong-type`` where it is no keyring, else ``keyring-rejected``.
    """
    before = read(previous)
    what = f"keyring {before.version + 1}"
    try:
        after = read(data, what)
        if after.stream != before.stream:
            raise Malformed(f"it is of the stream {after.stream!r}")
        if after.version != before.version + 1:  # K6
            raise Malformed(f"it has the version {after.version}")
        if after.epoch not in (before.epoch, before.epoch + 1):
            raise Malformed(f"its epoch is {after.epoch}, and the one before it has {before.epoch}")
        envelope = dsse.read(data, TYPE, what)
        whose = f"{what} (by the root before it)"
        dsse.verify(
            envelope, before.of(before.root), before.root.threshold, whose, distrusted=distrusted
        )  # K7, K8
        dsse.verify(envelope, after.of(after.root), after.root.threshold, what, distrusted=distrusted)
    except RemoteError as error:
        code = "wrong-type" if error.code == "wrong-type" else "keyring-rejected"
        said = error.message if error.message.startswith(what) else f"{what} is not taken: {error.message}"
        raise VerifyError(said, code="wrong-type" if code == "wrong-type" else "keyring-rejected") from None
    return after


def check_expiry(keyring: Keyring, now: float) -> None:
    """K9, of the newest.  Raises: VerifyError: It has expired."""
    if keyring.expires <= now:
        raise VerifyError(
            f"the newest keyring, {keyring.version}, has expired at {format_time(keyring.expires)}",
            code="expired",
            hint="whoever publishes the stream has to sign a new one",
        )
