"""Signed envelopes: DSSE 1.0.2.  Rules, in order; each is tested by its number.

D1  at most 16 KiB are looked at before a signature holds
D2  an envelope is strict JSON: payloadType, payload, signatures; what else stands in it is not signed, and not read
D3  one to sixteen signatures; an envelope without any is refused, whatever form "without" has
D4  base64 is written in the one way that the standard alphabet with padding has
D5  the type that is signed is the type that was asked for
D6  what is signed is type and payload together (PAE), and the payload that was verified is the one that is read
D7  algorithm and key come from whoever verifies; a keyid is only a hint which to try first
D8  each public key counts once, however often it signed, and under however many names
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import attrs
from oneiric_hookspecs import Malformed, VerifyError
from oneiric_hookspecs.releases import read_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

#: Bytes of an envelope, at most.
LIMIT = 16 * 1024
#: Signatures of an envelope, at most.
MOST = 16


@attrs.frozen
class Signature:
    """One signature, of whoever that is.

    Args:
        keyid: What the signer calls its key; believed by nobody.
        sig: Its bytes.
    """

    keyid: str
    sig: bytes = attrs.field(repr=False)


@attrs.frozen
class Envelope:
    """What is signed, and by whom it says to be.

    Args:
        payload_type: What the payload is.
        payload: Its bytes.
        signatures: Not verified.
    """

    payload_type: str
    payload: bytes = attrs.field(repr=False)
    signatures: tuple[Signature, ...] = ()

    def signed(self, key: Ed25519PrivateKey, keyid: str) -> Envelope:
        """The same with a signature by *key*, in place of the one that it may have made before."""
        sig = key.sign(pae(self.payload_type, self.payload))
        # Ed25519 signs the same in the same way: equal bytes are this key's.
        others = tuple(each for each in self.signatures if each.sig != sig)
        return attrs.evolve(self, signatures=(*others, Signature(keyid, sig)))

    def to_json(self) -> bytes:
        """The envelope as one line, without its end.

        Raises:
            ValueError: Nobody would read it: it is longer than 16 KiB, or has more than 16 signatures.
        """
        text = json.dumps(
            {
                "payloadType": self.payload_type,
                "payload": encode(self.payload),
                "signatures": [{"keyid": each.keyid, "sig": encode(each.sig)} for each in self.signatures],
            },
            separators=(",", ":"),
        )
        if len(text) > LIMIT or len(self.signatures) > MOST:
            raise ValueError(f"an envelope has at most {LIMIT:,} bytes and {MOST} signatures")
        return text.encode()


def pae(payload_type: str, payload: bytes) -> bytes:
    """The bytes that are signed: DSSE's pre-authentication encoding."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def read(data: bytes, expected: str, what: str) -> Envelope:
    """Read an envelope; nothing in it is verified.

    Args:
        data: Its bytes, whole.
        expected: The type that its payload must have.
        what: What it is, for errors: ``the head``.
    Raises:
        Malformed: It is no envelope.
        VerifyError: It is of another type, or not signed at all.
    """
    envelope, signatures = _parts(data, expected, what)
    if not isinstance(signatures, list) or not signatures:  # D3
        raise VerifyError(f"{what} is not signed", code="signature")
    return attrs.evolve(envelope, signatures=_signatures(signatures, what))


def read_unsigned(data: bytes, expected: str, what: str) -> Envelope:
    """As ``read``, of an envelope that may not be signed yet: for those who sign, and for nobody who verifies."""
    envelope, signatures = _parts(data, expected, what)
    return attrs.evolve(envelope, signatures=_signatures(signatures, what))


def _parts(data: bytes, expected: str, what: str) -> tuple[Envelope, Any]:
    """The envelope without its signatures, and those."""
    if len(data) > LIMIT:  # D1
        raise VerifyError(f"{what} is longer than {LIMIT:,} bytes", code="too-large")
    table = read_json(data, what)  # D2
    if not isinstance(table, dict):
        raise Malformed(f"{what} is no envelope: it is no object")
    kind, payload = table.get("payloadType"), table.get("payload")
    if not isinstance(kind, str) or not isinstance(payload, str):
        raise Malformed(f"{what} is no envelope: it has no payloadType and payload that are texts")
    if kind != expected:  # D5
        raise VerifyError(f"{what} is of the type {kind[:80]!r}, and not {expected!r}", code="wrong-type")
    return Envelope(kind, _decoded(payload, what)), table.get("signatures")


def _signatures(given: Any, what: str) -> tuple[Signature, ...]:
    if not isinstance(given, list):
        raise Malformed(f"{what} has signatures that are no list")
    if len(given) > MOST:  # D3
        raise Malformed(f"{what} has {len(given)} signatures, and {MOST} are read")
    found = []
    for each in given:
        sig = each.get("sig") if isinstance(each, dict) else None
        keyid = each.get("keyid", "") if isinstance(each, dict) else None
        if not isinstance(sig, str) or not isinstance(keyid, str):
            raise Malformed(f"{what} has a signature that is none: it has no sig, or a keyid that is no text")
        found.append(Signature(keyid, _decoded(sig, what)))
    return tuple(found)


def encode(data: bytes) -> str:
    """*data* as base64."""
    return base64.b64encode(data).decode()


def decode(text: str) -> bytes:
    """The bytes of a base64 text.  Raises: ValueError: It is not written in the one way there is (D4)."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("no base64 of the standard alphabet, with padding") from None
    if encode(data) != text:
        raise ValueError("no base64 in its one form")
    return data


def _decoded(text: str, what: str) -> bytes:
    try:
        return decode(text)
    except ValueError as error:
        raise Malformed(f"{what}: it holds {error}") from None


def signers(envelope: Envelope, keys: Mapping[str, bytes]) -> tuple[str, ...]:
    """Which of *keys* signed the envelope: each public key once (D8).

    Args:
        envelope: Which.
        keys: Public keys that were checked, by id.
    Returns:
        Their ids, sorted.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    message = pae(envelope.payload_type, envelope.payload)  # D6
    left = {public: keyid for keyid, public in sorted(keys.items(), reverse=True)}
    found = []
    for signature in envelope.signatures:
        hinted = keys.get(signature.keyid)  # D7
        for public in sorted(left, key=lambda each: each != hinted):
            try:
                Ed25519PublicKey.from_public_bytes(public).verify(signature.sig, message)
            except InvalidSignature:
                continue
            found.append(left.pop(public))
            break
    return tuple(sorted(found))


def verify(
    envelope: Envelope,
    keys: Mapping[str, bytes],
    threshold: int,
    what: str,
    *,
    distrusted: Collection[bytes] = (),
) -> tuple[str, ...]:
    """Which of *keys* signed the envelope, if they are enough.

    Args:
        envelope: Which.
        keys: Public keys that were checked, by id.
        threshold: How many of them have to have signed it.
        what: What it is, for errors.
        distrusted: Public keys that never count.
    Raises:
        VerifyError: Nobody who counts signed it (``signature``), too few did (``threshold``), or enough would have if
            none of them were distrusted (``key``).
    """
    trusted = {keyid: public for keyid, public in keys.items() if public not in distrusted}
    found = signers(envelope, trusted)
    if len(found) >= threshold:
        return found
    dropped = () if len(trusted) == len(keys) else signers(envelope, keys)
    if len(dropped) > len(found):
        gone = sorted(set(dropped) - set(found))
        raise VerifyError(f"{what} is signed by a key that is distrusted here: {', '.join(gone)}", code="key")
    if not found:
        raise VerifyError(f"{what} is signed by none of the keys that are trusted for it", code="signature")
    raise VerifyError(
        f"{what} is signed by {len(found)} of the {threshold} keys that have to: {', '.join(found)}",
        code="threshold",
    )
