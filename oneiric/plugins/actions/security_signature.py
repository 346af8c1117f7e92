"""``action:security.signature``: sign a message, and tell whether a signature is right.

S1  no secret, no signature: an empty one is legal for HMAC, and can here only be a slip
S2  a secret comes from the settings; from the request only where they allow it
S3  a signature is compared in a time that does not tell how much of it is right
S4  a time is signed with the message (``TIME.MESSAGE``), and is at most ``tolerance`` seconds from now
S5  a public key is a point that only its owner can sign for
S6  one algorithm a call: a signature cannot choose by which it is checked
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Literal, get_args

import attrs
from attrs.validators import ge, le, matches_re, optional
from oneiric_hookspecs import Action, ActionError, PluginContext, Secret, hookimpl

from oneiric.plugins._requests import (
    allowed,
    encoded,
    from_base64,
    from_hex,
    given_bytes,
    just_one,
    only_for,
    setting_path,
    some_of,
    unfit,
    utf8,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY = "security.signature"
Algorithm = Literal["hmac-sha256", "hmac-sha512", "hmac-blake2b", "ed25519"]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
_SIZES = {"hmac-sha256": 32, "hmac-sha512": 64, "hmac-blake2b": 64, "ed25519": 64}
#: Last second of the year 9999.
_LATEST = 253402300799


@attrs.frozen(eq=False, repr=False)
class Settings:
    """By what, and how.

    Args:
        algorithm: Where a request names none.
        algorithms: Those that a request may name.
        secret: The secret of HMAC.
        secret_encoding: How it is written, and one that a request brings: as a text, or as bytes in hex or base64.
        private_key: The Ed25519 key to sign with: PEM (PKCS 8), or its 32 bytes in hex or base64.
        public_keys: The Ed25519 keys of which one has signed: PEM, or 32 bytes in hex or base64.
        allow_inline_secret: Whether a request may bring the secret, or the keys; None is only where the settings have
            none themselves.
        encoding: How a signature is written, where a request does not say.
        header: The name of the HTTP header it is meant for.
        timestamped: Whether there must be a time; where there is none to sign with, it is now.
        tolerance: Seconds that the time of a signature may be away from now, on both sides.
        max_bytes: Bytes that a message may have.
    """

    algorithm: Algorithm = "hmac-sha256"
    algorithms: tuple[Algorithm, ...] = attrs.field(default=ALGORITHMS, validator=some_of(ALGORITHMS))
    secret: Secret | None = None
    secret_encoding: Literal["text", "hex", "base64"] = "text"  # noqa: S105 - it is no secret
    private_key: Secret | None = None
    public_keys: tuple[str, ...] = ()
    allow_inline_secret: bool | None = None
    encoding: Literal["hex", "base64"] = "hex"
    header: str = attrs.field(default="X-Signature", validator=matches_re(r"[A-Za-z0-9-]{1,100}"))
    timestamped: bool = False
    tolerance: float = attrs.field(default=300.0, validator=ge(0))
    max_bytes: int = attrs.field(default=16 * 1024 * 1024, validator=ge(1))


@attrs.frozen(eq=False, repr=False)
class Request:
    """What to sign, or what to check.

    Args:
        operation: Whether to sign or to verify.
        text: The message, as a text; meant in UTF-8.
        base64: The message, in base64.
        signature: What is to be verified.
        algorithm: None is the one of the settings.
        encoding: How the signature is written; None as the settings say.
        timestamp: The time that is signed with the message: whole seconds since 1970 (UTC).
        secret: Instead of the settings' own, where they allow it: for HMAC the secret, for Ed25519 the private key.
        public_key: Instead of the settings' own, where they allow it.
    """

    operation: Literal["sign", "verify"] = "sign"
    text: str | None = None
    base64: str | None = None
    signature: str | None = None
    algorithm: Algorithm | None = None
    encoding: Literal["hex", "base64"] | None = None
    timestamp: int | None = attrs.field(default=None, validator=optional([ge(0), le(_LATEST)]))
    secret: Secret | None = None
    public_key: str | None = None

    def __attrs_post_init__(self) -> None:
        just_one(self, "text", "base64")
        only_for(self, "verify", "signature", "public_key")
        if self.operation == "verify" and self.signature is None:
            raise ValueError("give the signature that is to be verified")


@attrs.frozen(eq=False, repr=False)
class Result:
    """A signature, or what is to be thought of one.

    Args:
        algorithm: The one that was used.
        signature: What was made; None where one was verified.
        headers: What to send it in, by name.
        timestamp: The time that was signed with the message; None for none.
        valid: Whether the signature is right; None where it was made.
        reason: Why it is not; empty otherwise.
    """

    algorithm: str
    signature: str | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    timestamp: int | None = None
    valid: bool | None = None
    reason: str = ""


class Plugin:
    """The plugin.

    Args:
        context: What every plugin is given.
        now: Seconds since 1970 (UTC).
    """

    def __init__(self, context: PluginContext, now: Callable[[], float] = time.time) -> None:
        self._now = now

    @hookimpl
    def oneiric_actions(self) -> Iterable[Action]:
        yield Action(
            KEY,
            "Sign a message, and verify signatures",
            takes=Request,
            returns=Result,
            settings=Settings,
            run=partial(run, now=self._now),
            idempotent=True,
        )


def run(request: Request, settings: Settings, now: Callable[[], float] = time.time) -> Result:
    """Sign or verify.  Raises: ActionError."""
    algorithm = request.algorithm or settings.algorithm
    allowed(KEY, "algorithm", algorithm, settings.algorithms, "algorithms")
    _check_inline(request, settings)
    message = given_bytes(KEY, request.text, request.base64, settings.max_bytes, setting="max_bytes")
    timestamp = request.timestamp
    if timestamp is None and settings.timestamped and request.operation == "sign":
        timestamp = int(now())
    if timestamp is not None:
        message = b"%d." % timestamp + message  # S4
    encoding = request.encoding or settings.encoding
    if request.operation == "sign":
        made = encoded(_signed(algorithm, message, request, settings), encoding)
        headers = {settings.header: made}
        if timestamp is not None:
            headers[f"{settings.header}-Timestamp"] = str(timestamp)
        return Result(algorithm, made, headers, timestamp)
    assert request.signature is not None
    right = _verified(
        algorithm, message, _signature(request.signature, algorithm, encoding), request, settings
    )
    reason = ""
    if not right:
        reason = "the signature is not right"
    elif timestamp is None and settings.timestamped:
        reason = "there is no time"
    elif timestamp is not None and abs(now() - timestamp) > settings.tolerance:
        reason = f"the time is more than {settings.tolerance:g} s from now"
    return Result(algorithm, timestamp=timestamp, valid=not reason, reason=reason)


def _check_inline(request: Request, settings: Settings) -> None:
    """S2."""
    allow = settings.allow_inline_secret
    if allow is None:
        allow = not (settings.secret is not None or settings.private_key is not None or settings.public_keys)
    for field in ("secret", "public_key"):
        if getattr(request, field) is not None and not allow:
            message = "comes from the settings, not from the request"
            raise unfit(KEY, field, message, setting="allow_inline_secret")


def _secret(request: Request, settings: Settings, setting: str) -> Secret:
    """S1."""
    given: Secret | None = getattr(settings, setting) if request.secret is None else request.secret
    if not given:
        raise ActionError(f"{KEY}: there is no secret to sign with", setting=setting_path(KEY, setting))
    return given


def _mac(algorithm: str, message: bytes, request: Request, settings: Settings) -> bytes:
    given, written = _secret(request, settings, "secret").reveal(), settings.secret_encoding
    read = {"text": utf8, "hex": from_hex, "base64": from_base64}[written]
    try:
        key = read(KEY, "secret", given)
    except ActionError:
        said = f"{KEY}: the secret is not written as {written}"
        raise ActionError(said, setting=setting_path(KEY, "secret_encoding")) from None
    return hmac.digest(key, message, algorithm.removeprefix("hmac-"))


def _signed(algorithm: str, message: bytes, request: Request, settings: Settings) -> bytes:
    if algorithm != "ed25519":
        return _mac(algorithm, message, request, settings)
    given = _secret(request, settings, "private_key").reveal()
    try:
        key = _private(given)
    except Exception:  # of the library; what it says may hold a part of the key
        which = "secret" if request.secret else setting_path(KEY, "private_key")
        hint = "PEM (PKCS 8, no password), or 32 bytes in hex or base64"
        raise ActionError(f"{KEY}: {which} is no private key of Ed25519", hint=hint) from None
    return key.sign(message)


def _verified(algorithm: str, message: bytes, signature: bytes, request: Request, settings: Settings) -> bool:
    if algorithm != "ed25519":
        return hmac.compare_digest(_mac(algorithm, message, request, settings), signature)  # S3
    from cryptography.exceptions import InvalidSignature

    one = request.public_key
    keys = settings.public_keys if one is None else (one,)
    if not keys:
        raise ActionError(f"{KEY}: there is no key to verify with", setting=setting_path(KEY, "public_keys"))
    # All of them are looked at before one is used: a bad one is not found on the day it is needed.
    read = [
        _public(text, "public_key" if one is not None else f"public_keys[{place}]", inline=one is not None)
        for place, text in enumerate(keys)
    ]
    for key in read:
        try:
            key.verify(signature, message)
        except InvalidSignature:
            continue
        return True
    return False


def _signature(text: str, algorithm: str, encoding: str) -> bytes:
    read = from_hex if encoding == "hex" else from_base64
    signature = read(KEY, "signature", text[:1000])
    if len(signature) != _SIZES[algorithm]:
        message = f"of {algorithm} has {_SIZES[algorithm]} bytes, found {len(signature)}"
        raise unfit(KEY, "signature", message)
    return signature


def _private(text: str) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if "-----BEGIN" in text:
        key = load_pem_private_key(text.encode(), None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("it is of another kind")
        return key
    return Ed25519PrivateKey.from_private_bytes(_raw(text))


def _public(text: str, field: str, *, inline: bool) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    from oneiric.plugins._ed25519 import check_public

    try:
        if "-----BEGIN" in text:
            key = load_pem_public_key(text.encode())
            if not isinstance(key, Ed25519PublicKey):
                raise ValueError("is a key of another kind than Ed25519")
        else:
            key = Ed25519PublicKey.from_public_bytes(check_public(_raw(text)))
        check_public(key.public_bytes_raw())  # S5
    except Exception as error:  # of the library, too
        said = " ".join(str(error).split())[:150]
        if inline:
            raise unfit(KEY, field, said) from None
        raise ActionError(f"{KEY}: {setting_path(KEY, field)}: {said}") from None
    return key


def _raw(text: str) -> bytes:
    text = text.strip()
    try:
        return from_hex(KEY, "key", text) if len(text) == 64 else from_base64(KEY, "key", text)
    except ActionError:
        raise ValueError("is neither PEM, nor 32 bytes in hex or base64") from None
