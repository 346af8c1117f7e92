"""Ed25519 (RFC 8032) keys that can be trusted to be keys.

Libraries take any 32 bytes for a public key.  With a point of small order, signatures can be made that hold for any
message, by anybody; with one that is written in two ways, two keys are one.

E1  a public key is 32 bytes
E2  its y is written as the number below p that it is
E3  it is on the curve, and so written that x = 0 has no sign
E4  eight times it is not the neutral point: it is not of small order
"""

from __future__ import annotations

_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)


def check_public(key: bytes) -> bytes:
    """*key*, if it can be a public key.

    Raises:
        ValueError: It cannot.
    """
    if len(key) != 32:  # E1
        raise ValueError(f"an Ed25519 public key has 32 bytes, found {len(key)}")
    number = int.from_bytes(key, "little")
    y, sign = number & (2**255 - 1), number >> 255
    if y >= _P:  # E2
        raise ValueError("is no Ed25519 public key: it is not in its one form")
    x = _x_of(y)
    if x is None or (x == 0 and sign):  # E3
        raise ValueError("is no Ed25519 public key: it is no point of the curve")
    for _ in range(3):
        x, y = _doubled(x, y)
    if (x, y) == (0, 1):  # E4
        raise ValueError("is an Ed25519 public key of small order, for which anybody can sign")
    return key


def _x_of(y: int) -> int | None:
    """One of the two x of a point (RFC 8032, 5.1.3); None where there is none."""
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT % _P
    return x if (x * x - square) % _P == 0 else None


def _doubled(x: int, y: int) -> tuple[int, int]:
    """A point added to itself; the denominators are never 0 on this curve."""
    both = _D * x * x * y * y
    return (
        2 * x * y * pow(1 + both, -1, _P) % _P,
        (y * y + x * x) * pow(1 - both, -1, _P) % _P,
    )
