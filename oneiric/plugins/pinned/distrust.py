"""Keys that this machine distrusts, whatever a keyring says: at once, and without asking anybody."""

from __future__ import annotations

import json

from oneiric_hookspecs import Keep, Malformed, VerifyError
from oneiric_hookspecs.releases import Fields, read_json

from . import dsse

#: What they are kept as.
NAME = "distrusted.json"


def load(keep: Keep) -> frozenset[bytes]:
    """The public keys that are distrusted.

    Raises:
        VerifyError: It is there and cannot be read: who would be believed then is not known (``key``).
    """
    data = keep.load(NAME)
    if data is None:
        if NAME in keep.names():
            raise VerifyError(f"{NAME} cannot be read, so nobody is believed", code="key")
        return frozenset()
    try:
        fields = Fields(read_json(data, NAME), NAME)
        keys = frozenset(map(dsse.decode, fields.texts("keys", most=10_000)))
        fields.end()
    except (Malformed, ValueError) as error:
        raise VerifyError(
            f"{NAME} is damaged, so nobody is believed: {error}",
            code="key",
            hint="delete it in the stream's state directory, and distrust the keys anew",
        ) from None
    return keys


def save(keep: Keep, keys: frozenset[bytes]) -> None:
    """Distrust *keys* and no others.  Raises: RemoteError."""
    keep.save(NAME, json.dumps({"keys": sorted(map(dsse.encode, keys))}).encode() + b"\n")
