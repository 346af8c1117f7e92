"""``action:security.secure``: tokens that cannot be guessed, passwords that are kept as hashes, secrets compared.

A password is hashed by scrypt (RFC 7914), or by Argon2id where argon2-cffi is installed.  The hash says by which
parameters it was made, in the form of the PHC strings: ``$scrypt$ln=15,r=8,p=3$SALT$HASH``.  Whoever brings a hash
brings parameters, so they are bounded before anything is computed.
"""

from __future__ import annotations

import hmac
import importlib
import re
from collections.abc import Iterable
from typing import Any, Literal

import attrs
from attrs.validators import ge, le, optional
from oneiric_hookspecs import Action, ActionError, Secret, hookimpl

from oneiric.plugins._requests import setting_path, unfit

KEY = "security.secure"

#: Characters that a password, or a secret to be compared, may have.
LONGEST = 4096
#: Blocks of memory that computing a hash may go through: n * r * p of scrypt.  The defaults below are 0.8 million.
MAX_WORK = 1 << 23
#: The length of what is made: salts and hashes, in bytes.
_SALT, _HASH = 16, 32
_SCRYPT = re.compile(
    r"\$scrypt\$ln=([1-9]\d?),r=([1-9]\d{0,3}),p=([1-9]\d{0,3})\$([A-Za-z0-9+/]{0,86})\$([A-Za-z0-9+/]{22,86})"
)
_ARGON2 = re.compile(
    r"\$argon2id\$v=19\$m=([1-9]\d{0,8}),t=([1-9]\d{0,5}),p=([1-9]\d{0,3})\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{16,86}"
)


@attrs.frozen(eq=False, repr=False)
class Settings:
    """How tokens and hashes are made.

    Args:
        token_bytes: Random bytes in a token, where a request does not say.
        scheme: By which a password is hashed; ``argon2`` needs argon2-cffi.
        scrypt_ln: The cost of scrypt: 2 to the power of this; 15 and r = 8 is 32 MiB.
        scrypt_r: Its size of blocks.
        scrypt_p: How many times it is done.
        argon2_memory: KiB that Argon2id fills.
        argon2_time: How many times it goes over them.
        argon2_lanes: In how many lanes.
        max_memory: Bytes that hashing, or verifying a hash that was brought, may take.
    """

    token_bytes: int = attrs.field(default=32, validator=[ge(16), le(1024)])
    scheme: Literal["scrypt", "argon2"] = "scrypt"
    scrypt_ln: int = attrs.field(default=15, validator=[ge(10), le(24)])
    scrypt_r: int = attrs.field(default=8, validator=[ge(1), le(64)])
    scrypt_p: int = attrs.field(default=3, validator=[ge(1), le(64)])
    argon2_memory: int = attrs.field(default=19 * 1024, validator=[ge(1024), le(4 * 1024 * 1024)])
    argon2_time: int = attrs.field(default=2, validator=[ge(1), le(100)])
    argon2_lanes: int = attrs.field(default=1, validator=[ge(1), le(16)])
    max_memory: int = attrs.field(default=128 * 1024 * 1024, validator=ge(1024 * 1024))


@attrs.frozen(eq=False, repr=False)
class Request:
    """What to do.

    Args:
        operation: ``token``: make one.  ``hash``: of a password.  ``verify``: whether a password is that of a hash.
            ``compare``: whether two secrets are equal, in a time that does not tell how much of them is.
        bytes: Random bytes in the token; None as the settings say.
        encoding: How the token is written: ``url`` is base64 for addresses, without padding.
        password: What is hashed, or verified.
        hash: What it is verified against.
        left: One of two to be compared.
        right: The other.
    """

    operation: Literal["token", "hash", "verify", "compare"]
    bytes: int | None = attrs.field(default=None, validator=optional([ge(16), le(1024)]))
    encoding: Literal["url", "hex"] | None = None
    password: Secret | None = None
    hash: str | None = None
    left: Secret | None = None
    right: Secret | None = None

    def __attrs_post_init__(self) -> None:
        needs = _NEEDS[self.operation]
        for name, optionally in (
            *_NEEDS["token"].items(),
            *_NEEDS["verify"].items(),
            *_NEEDS["compare"].items(),
        ):
            given = getattr(self, name) is not None
            if given and name not in needs:
                raise ValueError(f"{name} has no meaning for operation {self.operation!r}")
            if not given and name in needs and not optionally:
                raise ValueError(f"operation {self.operation!r} needs {name}")
        for name in ("password", "left", "right"):
            given = getattr(self, name)
            if given is not None and len(given) > LONGEST:
                raise ValueError(f"{name} has at most {LONGEST:,} characters, found {len(given):,}")
        if self.password is not None and not self.password:
            raise ValueError("password is empty")


#: What each operation takes; true for what may be left out.
_NEEDS: dict[str, dict[str, bool]] = {
    "token": {"bytes": True, "encoding": True},
    "hash": {"password": False},
    "verify": {"password": False, "hash": False},
    "compare": {"left": False, "right": False},
}


@attrs.frozen(eq=False, repr=False)
class Result:
    """What was made, or found.

    Args:
        token: A new token; keep it secret.
        hash: The hash of the password.
        valid: Whether the password is that of the hash, or the two secrets are equal.
        needs_rehash: Whether the hash was made otherwise than the settings say now: hash the password again, while it
            is known.
    """

    token: str | None = None
    hash: str | None = None
    valid: bool | None = None
    needs_rehash: bool | None = None


def run(request: Request, settings: Settings) -> Result:
    """Do it.  Raises: ActionError."""
    if request.operation == "token":
        return Result(token=_token(request.bytes or settings.token_bytes, request.encoding))
    if request.operation == "compare":
        return Result(valid=request.left == request.right)
    assert request.password is not None
    try:
        password = request.password.encode()
    except UnicodeEncodeError:
        raise unfit(KEY, "password", "is no text in UTF-8") from None
    if request.operation == "hash":
        make = _made_by_scrypt if settings.scheme == "scrypt" else _made_by_argon2
        return Result(hash=make(password, settings))
    assert request.hash is not None
    if found := _SCRYPT.fullmatch(request.hash):
        return _verified_by_scrypt(password, found, settings)
    if found := _ARGON2.fullmatch(request.hash):
        return _verified_by_argon2(password, request.hash, [int(each) for each in found.groups()], settings)
    raise unfit(KEY, "hash", "is no hash of scrypt ($scrypt$ln=...) or Argon2id ($argon2id$v=19$...)")


def _token(size: int, encoding: str | None) -> str:
    import secrets

    return secrets.token_hex(size) if encoding == "hex" else secrets.token_urlsafe(size)


# --- scrypt --------------------------------------------------------------------------------------------------------


def _scrypt(password: bytes, salt: bytes, ln: int, r: int, p: int, size: int) -> bytes:
    import hashlib

    n = 1 << ln
    return hashlib.scrypt(
        password, salt=salt, n=n, r=r, p=p, dklen=size, maxmem=_scrypt_memory(ln, r, p) + 1024 * 1024
    )


def _scrypt_memory(ln: int, r: int, p: int) -> int:
    return 128 * r * ((1 << ln) + p + 2)


def _too_dear(ln: int, r: int, p: int, settings: Settings) -> bool:
    return _scrypt_memory(ln, r, p) > settings.max_memory or (r * p) << ln > MAX_WORK


def _made_by_scrypt(password: bytes, settings: Settings) -> str:
    import os

    ln, r, p = settings.scrypt_ln, settings.scrypt_r, settings.scrypt_p
    if _too_dear(ln, r, p, settings):
        message = f"{KEY}: hashing with scrypt_ln = {ln} takes more memory or time than is allowed"
        raise ActionError(message, setting=setting_path(KEY, "max_memory"))
    salt = os.urandom(_SALT)
    return f"$scrypt$ln={ln},r={r},p={p}${_b64(salt)}${_b64(_scrypt(password, salt, ln, r, p, _HASH))}"


def _verified_by_scrypt(password: bytes, found: re.Match[str], settings: Settings) -> Result:
    ln, r, p = (int(each) for each in found.groups()[:3])
    salt, right = (_unb64(each) for each in found.groups()[3:])
    if _too_dear(ln, r, p, settings):
        raise unfit(KEY, "hash", "asks for more memory or time than is allowed", setting="max_memory")
    if ln >= 16 * r:
        raise unfit(KEY, "hash", "has parameters that scrypt cannot have")
    valid = hmac.compare_digest(_scrypt(password, salt, ln, r, p, len(right)), right)
    wanted = (settings.scrypt_ln, settings.scrypt_r, settings.scrypt_p, _SALT, _HASH)
    as_wanted = settings.scheme == "scrypt" and (ln, r, p, len(salt), len(right)) == wanted
    return Result(valid=valid, needs_rehash=not as_wanted)


def _b64(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode("ascii").rstrip("=")


def _unb64(text: str) -> bytes:
    import base64

    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        data = b""
    if _b64(data) != text:
        raise unfit(KEY, "hash", "holds a salt or a hash that is no base64")
    return data


# --- Argon2id ------------------------------------------------------------------------------------------------------


def _hasher(settings: Settings) -> Any:
    try:
        argon2 = importlib.import_module("argon2")
    except ImportError:
        raise ActionError(
            f"{KEY}: Argon2 needs a library that is not installed", hint="pip install argon2-cffi"
        ) from None
    return argon2.PasswordHasher(
        time_cost=settings.argon2_time,
        memory_cost=settings.argon2_memory,
        parallelism=settings.argon2_lanes,
        hash_len=_HASH,
        salt_len=_SALT,
    )


def _made_by_argon2(password: bytes, settings: Settings) -> str:
    if settings.argon2_memory * 1024 > settings.max_memory:
        message = f"{KEY}: argon2_memory = {settings.argon2_memory} KiB are more than max_memory allows"
        raise ActionError(message, setting=setting_path(KEY, "max_memory"))
    made: str = _hasher(settings).hash(password)
    return made


def _verified_by_argon2(password: bytes, given: str, parameters: list[int], settings: Settings) -> Result:
    memory, times, lanes = parameters
    if memory * 1024 > settings.max_memory or memory * times > MAX_WORK or lanes > 16:
        raise unfit(KEY, "hash", "asks for more memory or time than is allowed", setting="max_memory")
    hasher = _hasher(settings)
    errors = importlib.import_module("argon2.exceptions")
    try:
        hasher.verify(given, password)
        valid = True
    except errors.VerifyMismatchError:
        valid = False
    except (errors.VerificationError, errors.InvalidHashError) as error:
        raise unfit(KEY, "hash", f"cannot be verified: {error}") from None
    needs = settings.scheme != "argon2" or hasher.check_needs_rehash(given)
    return Result(valid=valid, needs_rehash=needs)


@hookimpl
def oneiric_actions() -> Iterable[Action]:
    yield Action(
        KEY,
        "Make tokens, hash passwords, compare secrets",
        takes=Request,
        returns=Result,
        settings=Settings,
        run=run,
    )
